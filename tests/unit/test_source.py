import ast
import re
import subprocess
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

import ltdm
from ltdm import methods_page, reference, registry, scores_page, source
from ltdm.options import parse
from ltdm.provenance import commit

ROOT = Path(__file__).parents[2]


def shape(text):
    return source._canonical(ast.parse(text))


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    return x + 1",
        'def f(x):\n    """Say something."""\n\n    # why\n    return (x + 1)  # and so\n',
        "'''module'''\ndef f( x ) :\n        return x+1",
    ],
)
def test_layout_comments_and_docstrings_do_not_count(other):
    assert shape('"""Doc."""\n\n\ndef f(x):\n    return x + 1\n') == shape(other)


@pytest.mark.parametrize(
    "other", ["def f(x):\n    return x + 2", "def g(x):\n    return x + 1", "def f(x):\n    x + 1",
              "def f(x=0):\n    return x + 1"],
)  # fmt: skip
def test_code_counts(other):
    assert shape("def f(x):\n    return x + 1") != shape(other)


def test_a_stage_s_digest_covers_what_it_imports(monkeypatch):
    opened = set()
    plain = source._shape
    monkeypatch.setattr(source, "_shape", lambda m: opened.add(m) or plain(m))
    source.digest("ltdm.stages.train", "ltdm.methods.cbdm")
    assert {"ltdm.training.loop", "ltdm.training.ema", "ltdm.methods.cbdm", "ltdm.methods._base",
            "ltdm.seeding", "ltdm.device"} <= opened  # fmt: skip
    others = ("metrics", "features", "samplers", "reporting", "data")
    assert not [m for m in opened if m.split(".")[1] in others]
    assert "ltdm.methods.ddpm" not in opened
    assert "ltdm.training.ensemble" not in opened, "it trains no shards"
    assert not opened & source.PLUMBING


GOLDEN = (
    "Module(body=[AsyncFunctionDef(name='f',args=arguments(kwonlyargs=[arg(arg='x',annotation"
    "=Name(id='int'))],kw_defaults=[Constant(value=1)]),body=[Return(value=BoolOp(op=Or(),val"
    "ues=[JoinedStr(values=[FormattedValue(value=Name(id='x'),conversion=114,format_spec=Join"
    "edStr(values=[Constant(value='>3')]))]),BinOp(left=List(elts=[Starred(value=Name(id='y')"
    ")]),op=MatMult(),right=Name(id='z'))]))],returns=Name(id='str'))])"
)


def test_the_form_is_the_same_under_every_python():
    """Written down from Python 3.11, and equal under 3.12 and 3.13."""
    assert shape("async def f(*, x: int = 1) -> str:\n    return f'{x!r:>3}' or [*y] @ z") == GOLDEN


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = option(1, 'Help.', low=0)", "x = option(1, 'Other words.', low=0)"),
        ("CITATION = 'a'\nx = 1", "x = 1"),
        ("raise LtdmError('a')", "raise LtdmError('b')"),
        ("log.info('a')\nx = 1", "x = 1"),
    ],
)
def test_words_do_not_count(one, other):
    assert shape(one) == shape(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = option(1, 'Help.', low=0)", "x = option(2, 'Help.', low=0)"),
        ("x = option(1, 'Help.', low=0)", "x = option(1, 'Help.', low=1)"),
        ("raise LtdmError('a')", "raise ValueError('a')"),
        ("x = math.log(2)", "x = math.log(3)"),
    ],
)
def test_values_do(one, other):
    assert shape(one) != shape(other)


def test_only_plumbing_is_left_out():
    assert all((ROOT / f"{m.replace('.', '/')}.py").exists() for m in source.PLUMBING)


ALL = [(kind, name) for kind in registry.FOLDERS for name in registry.names(kind)]


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_every_part_has_options_a_citation_and_documentation(kind, name):
    module = registry.load(kind, name, ())
    needed = [f.name for f in fields(module.Options) if f.default is MISSING]
    assert set(needed) <= {"root", "path"}, "an option without a default says where data lie"
    parse(module.Options, dict.fromkeys(needed, "somewhere"))
    assert module.__doc__
    assert name in ("folder", "npz", "mixture") or isinstance(module.CITATION, str)
    entry = {"source": "load", "sampler": "sample", "metric": "score"}.get(kind, "build")
    assert callable(getattr(module, entry))


def test_schema_and_page_are_up_to_date():
    assert (ROOT / reference.SCHEMA).read_text() == reference.schema_text(), "run `make docs`"
    page = (ROOT / reference.PAGE).read_text()
    assert page == reference.page_text(page), "run `make docs`"
    for page in (methods_page, scores_page):
        assert (ROOT / page.PAGE).read_text() == page.text(), "run `make docs`"


def test_the_schema_accepts_what_the_loader_accepts():
    import jsonschema
    import yaml

    check = jsonschema.Draft202012Validator(reference.schema())
    jsonschema.Draft202012Validator.check_schema(reference.schema())
    for file in (ROOT / "config").rglob("*.yaml"):
        config = yaml.safe_load(file.read_text())
        assert not list(check.iter_errors(config)), file
        config.setdefault("runs", {})["ddpm"] = {"train": {"updats": 3}}
        assert list(check.iter_errors(config)), "an unknown key"
        config["runs"]["ddpm"] = {"train": {"lr": "2e-4"}}
        assert list(check.iter_errors(config)), "text for a number"


def test_the_conda_environment_lists_the_project_s_dependencies():
    import tomllib

    import yaml

    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    listed = yaml.safe_load((ROOT / "workflow/envs/ltdm.yaml").read_text())["dependencies"]
    assert listed[-1]["pip"] == wanted


def test_the_commit_is_that_of_a_checkout_of_ltdm_or_none(tmp_path, monkeypatch):
    """A virtual environment in somebody's repository holds ltdm, but is no checkout of it."""

    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    package = tmp_path / "site-packages/ltdm"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(ltdm, "__file__", str(package / "__init__.py"))
    assert commit() is None
    git("init")
    git("commit", "--allow-empty", "-m", "theirs")
    assert commit() is None
    git("add", ".")
    git("commit", "-m", "ours")
    assert re.fullmatch("[0-9a-f]{40}", commit())
    (package / "__init__.py").write_text("changed = 1")
    assert commit().endswith("+changes")
