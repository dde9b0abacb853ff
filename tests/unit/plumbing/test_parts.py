"""Every part's file is what the protocol of its kind says, and no more is asked of it."""

import ast
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from ltdm.plumbing import registry
from tests.helpers.parts import faults, protocol

ROOT = Path(__file__).parents[3]
ALL = [(kind, name) for kind in registry.FOLDERS for name in registry.part_names(kind)]


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_every_part_is_what_its_protocol_says(kind, name):
    assert faults(kind, registry.load_module(kind, name, ())) == []


@pytest.mark.parametrize("kind", registry.FOLDERS)
def test_every_name_of_a_protocol_is_documented(kind):
    for ending in ("Module", "ModuleExtras", "Options", "OptionsExtras"):
        for name, member in protocol(kind, ending).items():
            assert member.__doc__, name
    assert {"Options", "CITATION"} < protocol(kind).keys()


def test_no_two_metrics_have_a_value_of_one_name():
    modules = [registry.load_module("metric", name, ()) for name in registry.part_names("metric")]
    times = Counter(value for module in modules for value in module.HIGHER_IS_BETTER)
    assert [value for value, number in times.items() if number > 1] == []


def changed(kind, name, **names):
    """Return a part's file with other names in it; None takes one out."""
    found = ModuleType(name, "Documented.")
    vars(found).update(
        {k: v for k, v in vars(registry.load_module(kind, name, ())).items() if k[0] != "_"}
    )
    vars(found).update(names)
    for one in [k for k, v in names.items() if v is None]:
        delattr(found, one)
    return found


WRONG = {
    "missing": ("metric", "kid", {"least": None}, "least is missing"),
    "parameter": (
        "metric",
        "kid",
        {"least": lambda opts: 1},
        "least must have the parameters options",
    ),
    "default": (
        "network",
        "mlp",
        {"build": lambda options, channels, size, classes, told: None},
        "build must have the parameters options, channels, size, classes, told",
    ),
    "order": (
        "sampler",
        "ddim",
        {"levels": lambda options, process: []},
        "levels must have the parameters process, options",
    ),
    "constant": ("extractor", "pixels", {"RUNS_NETWORK": 1}, "RUNS_NETWORK is no bool"),
    "value": ("extractor", "pixels", {"PROBABILITIES": "mine"}, "PROBABILITIES is 'mine'"),
    "function": ("source", "digits", {"census": 3}, "census is no function"),
    "option": (
        "sampler",
        "ddim",
        {"Options": registry.load_module("metric", "kid", ()).Options},
        "the option steps is missing",
    ),
    "optional": (
        "extractor",
        "inception",
        {"check": lambda path: None},
        "check must have the parameters options",
    ),
    "search": ("metric", "memorization", {"search": None}, "search is missing"),
    "splits": (
        "source",
        "digits",
        {"SPLITS": ("val",)},
        'SPLITS must hold "train", and may hold "test"',
    ),
}


@pytest.mark.parametrize(("kind", "name", "names", "fault"), WRONG.values(), ids=WRONG)
def test_a_part_that_is_not_is_found_out(kind, name, names, fault):
    assert faults(kind, changed(kind, name)) == []
    assert faults(kind, changed(kind, name, **names)) == [fault]


def test_no_name_is_used_that_no_protocol_says():
    """mypy does the same where a local name of a protocol's type holds the module."""
    known = {
        n
        for kind in registry.FOLDERS
        for end in ("Module", "ModuleExtras")
        for n in protocol(kind, end)
    }
    used = {}
    for file in (ROOT / "ltdm").rglob("*.py"):
        if file.name != "source.py":  # where a module is an import's
            used |= dict.fromkeys(used_in(ast.parse(file.read_text())), file.name)
    for file in (ROOT / "rules").glob("*.smk"):
        used |= dict.fromkeys(re.findall(r"\.module\.(\w+)", file.read_text()), file.name)
    assert {name: file for name, file in used.items() if name not in known} == {}
    assert {"check", "HEARS", "TRAINING", "search", "READS_POINTS"} <= used.keys()


def used_in(tree):
    """Return the names that are taken of a part's module: by a dot, or by getattr and hasattr."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner, name = node.value, node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            owner, name = node.args[0], getattr(node.args[1], "value", None)
        else:
            continue
        if isinstance(owner, ast.Attribute) and owner.attr == "module":
            yield name
