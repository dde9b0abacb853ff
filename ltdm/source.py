"""A digest of the code behind a result: exactly the files that can change it.

Comments, docstrings, layout and the words of messages, help and citations do not count, and neither
do protocols, which no code runs, nor the plumbing that only reads options, writes files or reports
progress. So reformatting reruns nothing, while a fix to a method reruns that method's runs.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent
PLUMBING = frozenset(
    {
        "ltdm.citations",
        "ltdm.compiling",
        "ltdm.errors",
        "ltdm.files",
        "ltdm.locks",
        "ltdm.options",
        "ltdm.progress",
        "ltdm.provenance",
        "ltdm.registry",
        "ltdm.slurm",
        "ltdm.source",
        "ltdm.stopping",
        "ltdm.training.distributed",
        "ltdm.training.worker",
    }
)
TYPES = ("typing", "collections.abc")
"""Modules whose names stand for types alone."""


@cache
def digest(*modules: str) -> str:
    """Return 16 hex digits over the given modules and all that they import from ltdm."""
    seen: set[str] = set()
    pending = list(modules)
    while pending:
        module = pending.pop()
        if module not in seen and module not in PLUMBING:
            seen.add(module)
            pending += _imports(module)
    text = "".join(f"{m} {_shape(m)}\n" for m in sorted(seen))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _file(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split(".")[1:])
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((f for f in candidates if f.is_file()), None)


@cache
def _tree(module: str) -> ast.Module:
    file = _file(module)
    if file is None:
        raise ModuleNotFoundError(f"no source for {module}")
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def _imports(module: str) -> list[str]:
    found: set[str] = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {
                node.module,
                *(f"{node.module}.{alias.name}" for alias in node.names),
            }
    return [m for m in found if m.split(".")[0] == "ltdm" and m != "ltdm" and _file(m)]


@cache
def _shape(module: str) -> str:
    return _canonical(_tree(module))


def _canonical(node: object) -> str:
    """Write a syntax tree as text that is the same under every Python version.

    `ast.dump` is not: it learnt to leave out empty fields. Here they always are.
    """
    if isinstance(node, list):
        return "[" + ",".join(_canonical(n) for n in node if not _is_words(n)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Call) and _name_of(node.func) == "option":
        node = ast.Call(node.func, node.args[:1], node.keywords)  # the second argument is the help
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        node = ast.Raise(node.exc.func, None)
    fields = [(k, v) for k, v in ast.iter_fields(node) if v not in (None, []) and k != "kind"]
    inner = ",".join(f"{k}={_canonical(v)}" for k, v in fields if not isinstance(v, ast.Load))
    return f"{type(node).__name__}({inner})"


def _is_words(node: object) -> bool:
    """Whether a statement only says something: a docstring, a protocol, a log line, a citation."""
    if isinstance(node, ast.ClassDef):
        return any(_name_of(base) == "Protocol" for base in node.bases)
    if isinstance(node, ast.ImportFrom):  # or a protocol would count by the import that it needs
        return node.module in TYPES
    if isinstance(node, ast.Assign):
        return _name_of(node.targets[0]) == "CITATION"
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        return _name_of(node.value.func.value) == "log"
    return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _name_of(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else None
