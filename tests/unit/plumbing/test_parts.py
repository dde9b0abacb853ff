"""Every part implements the protocol of its kind, and the code uses nothing beyond it."""

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
def test_every_part_implements_its_protocol(kind, name):
    assert faults(kind, registry.load_module(kind, name, ())) == []


@pytest.mark.parametrize("kind", registry.FOLDERS)
def test_every_member_of_a_protocol_is_documented(kind):
    for ending in ("Module", "ModuleExtras", "Options", "OptionsExtras"):
        for name, member in protocol(kind, ending).items():
            assert member.__doc__, name
    assert {"Options", "CITATION"} < protocol(kind).keys()


def test_no_two_metrics_have_a_value_of_the_same_name():
    modules = [registry.load_module("metric", name, ()) for name in registry.part_names("metric")]
    times = Counter(value for module in modules for value in module.HIGHER_IS_BETTER)
    assert [value for value, number in times.items() if number > 1] == []


def modified(kind, name, **members):
    """Return a copy of a part's module with other members; None removes a member."""
    module = ModuleType(name, "Documented.")
    public = vars(registry.load_module(kind, name, ())).items()
    vars(module).update({k: v for k, v in public if k[0] != "_"} | members)
    for member in [k for k, v in members.items() if v is None]:
        delattr(module, member)
    return module


WRONG = {
    "missing": ("metric", "kid", {"min_images": None}, "min_images is missing"),
    "parameter": (
        "metric",
        "kid",
        {"min_images": lambda opts: 1},
        "min_images must have the parameters options",
    ),
    "default": (
        "network",
        "mlp",
        {"build": lambda options, channels, size, classes, augment_dim: None},
        "build must have the parameters options, channels, size, classes, augment_dim",
    ),
    "order": (
        "sampler",
        "ddim",
        {"noise_levels": lambda options, process: []},
        "noise_levels must have the parameters process, options",
    ),
    "constant": ("extractor", "pixels", {"USES_GPU": 1}, "USES_GPU is no bool"),
    "value": ("extractor", "pixels", {"PROBABILITIES": "mine"}, "PROBABILITIES is 'mine'"),
    "function": ("source", "digits", {"describe": 3}, "describe is no function"),
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


@pytest.mark.parametrize(("kind", "name", "members", "fault"), WRONG.values(), ids=WRONG)
def test_a_part_that_does_not_implement_its_protocol_is_noticed(kind, name, members, fault):
    assert faults(kind, modified(kind, name)) == []
    assert faults(kind, modified(kind, name, **members)) == [fault]


def test_the_code_uses_only_members_of_the_protocols():
    """mypy checks the same where a variable of a protocol's type holds the module."""
    known = {
        n
        for kind in registry.FOLDERS
        for end in ("Module", "ModuleExtras")
        for n in protocol(kind, end)
    }
    used = {}
    for file in (ROOT / "ltdm").rglob("*.py"):
        if file.name != "source.py":  # there `.module` is that of an import
            used |= dict.fromkeys(used_in(ast.parse(file.read_text())), file.name)
    for file in (ROOT / "rules").glob("*.smk"):
        used |= dict.fromkeys(re.findall(r"\.module\.(\w+)", file.read_text()), file.name)
    assert {name: file for name, file in used.items() if name not in known} == {}
    assert {
        "check",
        "NOISE_CONDITIONING",
        "TRAINING_ONLY",
        "search",
        "SUPPORTS_POINTS",
    } <= used.keys()


def used_in(tree):
    """Yield the members of parts' modules that code uses, by a dot or by getattr and hasattr."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner, name = node.value, node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            owner, name = node.args[0], getattr(node.args[1], "value", None)
        else:
            continue
        if isinstance(owner, ast.Attribute) and owner.attr == "module":
            yield name
