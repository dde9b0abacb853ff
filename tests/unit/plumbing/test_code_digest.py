import ast
import re
import subprocess
from pathlib import Path

import pytest

import ltdm
from ltdm.cli import reference
from ltdm.plumbing import code_digest
from ltdm.plumbing.provenance import commit
from ltdm.tools import docs_config, docs_methods, docs_scores

ROOT = Path(__file__).parents[3]


def shape(text):
    return code_digest._canonical_text(ast.parse(text))


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


def test_a_stage_s_digest_covers_what_it_imports():
    covered = code_digest.closure("ltdm.stages.single", "ltdm.methods.cbdm")
    assert {"ltdm.training.loop", "ltdm.training.ema", "ltdm.methods.cbdm", "ltdm.methods._base",
            "ltdm.core.seeding", "ltdm.core.device"} <= covered  # fmt: skip
    others = ("metrics", "features", "samplers", "reporting", "data")
    assert not [m for m in covered if m.split(".")[1] in others]
    assert "ltdm.methods.ddpm" not in covered
    assert "ltdm.training.ensemble" not in covered, "it trains no shards"
    assert not [m for m in covered if m.startswith(code_digest.PLUMBING)]


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
        ("CITATION = 'a'\nx = 1", "x = 1"),
        ("raise LtdmError('a')", "raise LtdmError('b')"),
        ("log.info('a')\nx = 1", "x = 1"),
        ("class A(Protocol):\n    def f(self) -> int: ...\nx = 1", "x = 1"),
        ("class A(B, Protocol):\n    def f(self) -> int: ...\nx = 1", "x = 1"),
        ("from typing import Any, Protocol\nx = 1", "from typing import Any\nx = 1"),
    ],
)
def test_words_do_not_count(one, other):
    assert shape(one) == shape(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("raise LtdmError('a')", "raise ValueError('a')"),
        ("x = math.log(2)", "x = math.log(3)"),
        ("class A(B):\n    x = 1", "class A(B):\n    x = 2"),
        ("from a import f", "from b import f"),
    ],
)
def test_values_do(one, other):
    assert shape(one) != shape(other)


OPTIONS = """
class Options:
    a: int = option(1, "Help.", low=0)

    def __post_init__(self):
        if self.a == 3:
            raise OptionError(("a",), "is 3")

    def twice(self):
        return 2 * self.a
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a: int = option(1, ", "a: int = option(2, "),
        ("low=0)", "low=1)\n    b: bool = option(False, 'New.')"),
        ("__post_init__", "check_it"),
        ("self.a == 3", "self.a == 4"),
    ],
)
def test_options_and_their_checks_do_not_count(old, new):
    assert shape(OPTIONS) == shape(OPTIONS.replace(old, new))


@pytest.mark.parametrize(("old", "new"), [("2 * self", "3 * self"), ("twice", "thrice")])
def test_what_is_computed_from_options_does(old, new):
    assert shape(OPTIONS) != shape(OPTIONS.replace(old, new))


CHECKS = [
    (file.stem, owner.name, check)
    for file in sorted((ROOT / "ltdm").rglob("*.py"))
    for owner in ast.walk(ast.parse(file.read_text()))
    if isinstance(owner, ast.ClassDef) and any(map(code_digest._is_option, owner.body))
    for check in filter(code_digest.is_check, owner.body)
]


def keeps_something(check):
    """Return the first statement of a check that could change a result."""
    for node in ast.walk(check):
        returns = isinstance(node, ast.Return) and node.value is not None
        stores = isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store)
        sets = isinstance(node, ast.Attribute | ast.Name) and "setattr" in ast.unparse(node)
        if returns or stores or sets or isinstance(node, ast.Global | ast.Nonlocal | ast.Yield):
            return ast.unparse(node)
    return None


@pytest.mark.parametrize("check", [c for *_, c in CHECKS], ids=[f"{c[0]}-{c[1]}" for c in CHECKS])
def test_a_check_of_options_can_only_raise(check):
    """Else a change in it could change a result that its digest does not cover."""
    assert keeps_something(check) is None


@pytest.mark.parametrize(
    "line", ["return 1", "self.a = 1", "object.__setattr__(self, 'a', 1)", "x[0] = 1", "yield 1"]
)
def test_a_check_that_does_more_is_found(line):
    assert keeps_something(ast.parse(f"def check_a(self):\n    {line}").body[0])


def forget():
    """Let files be read again."""
    for one in vars(code_digest).values():
        if hasattr(one, "cache_clear"):
            one.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules that the digest takes for ltdm's."""
    texts = {
        "loop": "from ltdm.parts import steps\nfrom ltdm import seeds\n\n"
        "def run(n):\n    return steps(seeds.draw(n))\n",
        "parts": "def steps(n):\n    return n + 1\n\n\ndef others(n):\n    return n + 2\n",
        "seeds": "def draw(n):\n    return 2 * n\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)

    def edit(name, *pairs):
        file = tmp_path / f"{name}.py"
        text = file.read_text()
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        file.write_text(text)

    def digest(module="ltdm.loop"):
        forget()
        return code_digest.digest(module)

    monkeypatch.setattr(code_digest, "ROOT", tmp_path)
    yield tmp_path, edit, digest
    forget()


def test_moved_renamed_and_split_modules_are_the_same_code(package):
    folder, edit, digest = package
    before = digest()
    (folder / "core").mkdir()
    (folder / "core/__init__.py").write_text('"""A folder."""')
    (folder / "seeds.py").rename(folder / "core/owners.py")
    edit(
        "loop", ("from ltdm import seeds", "from ltdm.core import owners"), ("seeds.d", "owners.d")
    )
    assert digest() == before
    (folder / "loop.py").rename(folder / "core/loop.py")
    assert digest("ltdm.core.loop") == before
    (folder / "two.py").write_text("def others(n):\n    return n + 2\n")
    edit("parts", ("\n\ndef others(n):\n    return n + 2\n", ""))
    edit("core/loop", ("import steps\n", "import steps\nfrom ltdm.two import others\n"))
    assert digest("ltdm.core.loop") == before, "where a definition stands does not count"


@pytest.mark.parametrize("kind", ["", ": float"])
def test_constants_of_one_name_are_not_exchanged_unseen(package, kind):
    folder, edit, digest = package
    for name, value, old in (("parts", 1, "n + 1"), ("seeds", 2, "2 * n")):
        edit(name, (old, "n * SIZE"))
        (folder / f"{name}.py").write_text(
            f"SIZE{kind} = {value}\n\n\n{(folder / f'{name}.py').read_text()}"
        )
    before = digest()
    edit("parts", (f"SIZE{kind} = 1", f"SIZE{kind} = 2"))
    edit("seeds", (f"SIZE{kind} = 2", f"SIZE{kind} = 1"))
    assert digest() != before


def test_code_that_is_imported_counts_and_so_does_which(package):
    _, edit, digest = package
    before = digest()
    edit("seeds", ("2 * n", "3 * n"))
    other = digest()
    assert other != before
    edit("loop", ("import steps", "import others as steps"))
    assert digest() not in (before, other)


def test_only_plumbing_is_left_out():
    for module in code_digest.PLUMBING:
        path = ROOT / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").exists()


def test_schema_and_page_are_up_to_date():
    assert (ROOT / docs_config.SCHEMA).read_text() == docs_config.schema_text(), "run `make docs`"
    page = (ROOT / docs_config.PAGE).read_text()
    assert page == docs_config.page_text(page), "run `make docs`"
    for page in (docs_methods, docs_scores, reference):
        assert (ROOT / page.PAGE).read_text() == page.text(), "run `make docs`"


def test_the_schema_accepts_what_the_loader_accepts():
    import jsonschema
    import yaml

    check = jsonschema.Draft202012Validator(docs_config.schema())
    jsonschema.Draft202012Validator.check_schema(docs_config.schema())
    for file in (ROOT / "config").rglob("*.yaml"):
        config = yaml.safe_load(file.read_text())
        assert not list(check.iter_errors(config)), file
        config.setdefault("runs", {})["ddpm"] = {"train": {"updats": 3}}
        assert list(check.iter_errors(config)), "an unknown key"
        config["runs"]["ddpm"] = {"train": {"lr": "small"}}
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
