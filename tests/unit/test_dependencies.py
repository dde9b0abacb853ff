"""The dependencies: each has a floor, and every import is of one of them.

`make test-oldest` installs the floors together and runs the tests on them.
"""

import ast
import re
import sys
import tomllib
import warnings
from functools import cache
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME, EXTRAS = PROJECT["dependencies"], PROJECT["optional-dependencies"]
OLDEST_PYTHON = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
OURS = {"ltdm", "tests", "_typeshed"}  # the last is part of every type checker
HOOK = ROOT / "ltdm/tools/site.py"  # only MkDocs imports it
PACKAGE = {*(ROOT / "ltdm").rglob("*.py")} - {HOOK}
WORKFLOW = {ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk"), *(ROOT / "workflow").rglob("*.py")}
TESTS = {HOOK, *(ROOT / "tests").rglob("*.py")}
distributions = cache(packages_distributions)


def names_of(requirements: list[str]) -> set[str]:
    return {re.split("[>=,]", requirement)[0] for requirement in requirements}


def imported_modules(file: Path) -> set[str]:
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".py":  # rules, which only Snakemake parses
        return set(re.findall(r"^(?:import|from) +([\w.]+)", text, re.MULTILINE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # later Pythons may refuse what one warns of
        nodes = list(ast.walk(ast.parse(text, str(file), feature_version=OLDEST_PYTHON)))
    modules = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    return modules | {n.module for n in nodes if isinstance(n, ast.ImportFrom) and not n.level}


@cache
def imported_by(file: Path) -> set[str]:
    """Return the packages that a file imports, by their names in registries."""
    tops = {module.partition(".")[0] for module in imported_modules(file)}
    tops -= sys.stdlib_module_names | OURS
    found = {name for top in tops for name in distributions().get(top, [top])}
    return {re.sub("[-_.]+", "-", name).lower() for name in found}


def test_every_dependency_has_a_floor_or_one_version():
    for requirement in [*RUNTIME, *EXTRAS["workflow"], *EXTRAS["tensorboard"]]:
        assert re.fullmatch(r"[a-z0-9-]+[>=]=[\d.]+(,!=[\d.]+)?", requirement), requirement


@pytest.mark.parametrize(
    ("files", "declared"),
    [
        (PACKAGE, RUNTIME + EXTRAS["tensorboard"]),
        (WORKFLOW, RUNTIME + EXTRAS["workflow"]),
        (TESTS, [*RUNTIME, *chain(*EXTRAS.values())]),
    ],
    ids=["ltdm", "workflow", "tests"],
)
def test_every_import_is_of_a_declared_dependency(files, declared):
    imports = {(name, str(file.relative_to(ROOT))) for file in files for name in imported_by(file)}
    assert imports
    assert {(name, file) for name, file in imports if name not in names_of(declared)} == set()


def test_every_dependency_is_imported():
    assert names_of(RUNTIME) <= set().union(*map(imported_by, PACKAGE))
