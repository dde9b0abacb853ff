"""The code digest: what it covers, what it ignores, and what the package must keep to for it."""

import ast
from pathlib import Path

import pytest

from ltdm.plumbing import code_digest

ROOT = Path(__file__).parents[3]


def canonical(text):
    return code_digest._canonical_text(ast.parse(text))


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    return x + 1",
        'def f(x):\n    """Say something."""\n\n    # why\n    return (x + 1)  # and so\n',
        "'''module'''\ndef f( x ) :\n        return x+1",
    ],
)
def test_layout_comments_and_docstrings_are_not_digested(other):
    assert canonical('"""Doc."""\n\n\ndef f(x):\n    return x + 1\n') == canonical(other)


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    return x + 2",
        "def g(x):\n    return x + 1",
        "def f(x):\n    x + 1",
        "def f(x=0):\n    return x + 1",
    ],
)
def test_code_is_digested(other):
    assert canonical("def f(x):\n    return x + 1") != canonical(other)


def test_a_stage_s_digest_covers_its_imports():
    covered = code_digest.closure("ltdm.stages.single", "ltdm.methods.cbdm")
    assert {"ltdm.training.loop", "ltdm.training.ema", "ltdm.methods.cbdm"} <= covered
    assert {"ltdm.methods._base", "ltdm.core.seeding", "ltdm.core.device"} <= covered
    others = ("metrics", "features", "samplers", "reporting", "data")
    assert not [m for m in covered if m.split(".")[1] in others]
    assert "ltdm.methods.ddpm" not in covered
    assert "ltdm.training.ensemble" not in covered, "it trains no ensemble"
    assert not [m for m in covered if m.startswith(code_digest.PLUMBING)]


GOLDEN = (
    "Module(body=[AsyncFunctionDef(name='f',args=arguments(kwonlyargs=[arg(arg='x',annotation"
    "=Name(id='int'))],kw_defaults=[Constant(value=1)]),body=[Return(value=BoolOp(op=Or(),val"
    "ues=[JoinedStr(values=[FormattedValue(value=Name(id='x'),conversion=114,format_spec=Join"
    "edStr(values=[Constant(value='>3')]))]),BinOp(left=List(elts=[Starred(value=Name(id='y')"
    ")]),op=MatMult(),right=Name(id='z'))]))],returns=Name(id='str'))])"
)


def test_the_canonical_text_is_the_same_under_every_python():
    """The expected text comes from Python 3.11, and is the same under 3.12 and 3.13."""
    assert (
        canonical("async def f(*, x: int = 1) -> str:\n    return f'{x!r:>3}' or [*y] @ z")
        == GOLDEN
    )


@pytest.mark.parametrize(
    ("code", "other"),
    [
        ("CITATION = 'a'\nx = 1", "x = 1"),
        ("raise LtdmError('a')", "raise LtdmError('b')"),
        ("log.info('a')\nx = 1", "x = 1"),
        ("class A(Protocol):\n    def f(self) -> int: ...\nx = 1", "x = 1"),
        ("class A(B, Protocol):\n    def f(self) -> int: ...\nx = 1", "x = 1"),
        ("from typing import Any, Protocol\nx = 1", "from typing import Any\nx = 1"),
    ],
)
def test_messages_citations_and_types_are_not_digested(code, other):
    assert canonical(code) == canonical(other)


@pytest.mark.parametrize(
    ("code", "other"),
    [
        ("raise LtdmError('a')", "raise ValueError('a')"),
        ("x = math.log(2)", "x = math.log(3)"),
        ("class A(B):\n    x = 1", "class A(B):\n    x = 2"),
        ("from a import f", "from b import f"),
    ],
)
def test_values_and_imports_are_digested(code, other):
    assert canonical(code) != canonical(other)


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
def test_options_and_their_checks_are_not_digested(old, new):
    assert canonical(OPTIONS) == canonical(OPTIONS.replace(old, new))


@pytest.mark.parametrize(("old", "new"), [("2 * self", "3 * self"), ("twice", "thrice")])
def test_computations_from_options_are_digested(old, new):
    assert canonical(OPTIONS) != canonical(OPTIONS.replace(old, new))


CHECKS = [
    (file.stem, owner.name, check)
    for file in sorted((ROOT / "ltdm").rglob("*.py"))
    for owner in ast.walk(ast.parse(file.read_text()))
    if isinstance(owner, ast.ClassDef) and any(map(code_digest._is_option, owner.body))
    for check in filter(code_digest.is_check, owner.body)
]


def first_effect(check):
    """Return the first statement of a check that does more than raise, as text; else None."""
    for node in ast.walk(check):
        returns = isinstance(node, ast.Return) and node.value is not None
        stores = isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store)
        sets = isinstance(node, ast.Attribute | ast.Name) and "setattr" in ast.unparse(node)
        if returns or stores or sets or isinstance(node, ast.Global | ast.Nonlocal | ast.Yield):
            return ast.unparse(node)
    return None


@pytest.mark.parametrize("check", [c for *_, c in CHECKS], ids=[f"{c[0]}-{c[1]}" for c in CHECKS])
def test_a_check_of_options_can_only_raise(check):
    """Otherwise a change of the check could change a result without changing its digest."""
    assert first_effect(check) is None


@pytest.mark.parametrize(
    "line", ["return 1", "self.a = 1", "object.__setattr__(self, 'a', 1)", "x[0] = 1", "yield 1"]
)
def test_a_check_that_does_more_than_raise_is_noticed(line):
    assert first_effect(ast.parse(f"def check_a(self):\n    {line}").body[0])


def clear_caches():
    """Let the digest read files again."""
    for member in vars(code_digest).values():
        if hasattr(member, "cache_clear"):
            member.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that the digest takes for ltdm: its folder, and functions to edit and digest it."""
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
        clear_caches()
        return code_digest.digest(module)

    monkeypatch.setattr(code_digest, "ROOT", tmp_path)
    yield tmp_path, edit, digest
    clear_caches()


def test_moved_renamed_and_split_modules_have_the_same_digest(package):
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
    assert digest("ltdm.core.loop") == before, "the module of a definition is not digested"


@pytest.mark.parametrize("kind", ["", ": float"])
def test_exchanged_values_of_constants_of_the_same_name_are_noticed(package, kind):
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


def test_imported_code_is_digested_and_so_is_the_choice_of_import(package):
    _, edit, digest = package
    before = digest()
    edit("seeds", ("2 * n", "3 * n"))
    other = digest()
    assert other != before
    edit("loop", ("import steps", "import others as steps"))
    assert digest() not in (before, other)


def test_plumbing_names_existing_folders_and_modules():
    for module in code_digest.PLUMBING:
        path = ROOT / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").exists()
