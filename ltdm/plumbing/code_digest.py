"""A digest of the code behind a result, which changes only with code that can change the result.

Not digested are comments, docstrings, layout, the text of messages, help and citations, the module
in which a definition stands, and the plumbing, which only reads options, writes files or reports
progress. So reformatting, moving or splitting a file reruns nothing, while a fix to a method reruns
that method's runs. Options are not digested either: their values are part of a stage's request, and
their checks can only raise. Nor are protocols, which no code runs.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PLUMBING = (
    "ltdm.plumbing",
    "ltdm.config.layout",
    "ltdm.pipeline.snapshot",
    "ltdm.training.distributed",
    "ltdm.training.live",
    "ltdm.training.worker",
)
"""Folders and modules that can change no number."""
TYPE_MODULES = ("typing", "collections.abc")  # of which only types are imported


@cache
def digest(*modules: str) -> str:
    """Return 16 hex digits of the modules and of all modules that they import from ltdm."""
    return _hash(text for module in closure(*modules) for text in _statement_texts(module))


@cache
def sources_digest() -> str:
    """Return a digest of all files of ltdm's code."""
    digest = hashlib.sha256()
    for file in sorted(ROOT.rglob("*.py")):
        digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def closure(*modules: str) -> set[str]:
    """Return the modules and all that they import from ltdm, directly or not, except plumbing."""
    visited: set[str] = set()
    pending = [*modules]
    while pending:
        module = pending.pop()
        if module not in visited and not _is_plumbing(module):
            visited.add(module)
            for name in _imports(module).values():
                pending += [m for m in (name.module, name.as_module) if m and m != "ltdm"]
    return visited


def _hash(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(set(texts))).encode()).hexdigest()[:16]


class _Import(NamedTuple):
    """A name that is imported from ltdm: the module it comes from, and its name there."""

    module: str
    name: str
    as_module: str | None  # the dotted name, if the name is itself a module


def _source_file(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split(".")[1:])
    return next((f for f in (base.with_suffix(".py"), base / "__init__.py") if f.is_file()), None)


@cache
def _tree(module: str) -> ast.Module:
    file = _source_file(module)
    if file is None:
        raise ModuleNotFoundError(f"no source for {module}")
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def _imports(module: str) -> dict[str, _Import]:
    """Return what a module imports from ltdm, by the names that it uses."""
    imports = {}
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and _is_ltdm_import(node):
            for alias in node.names:
                dotted = f"{node.module}.{alias.name}"
                as_module = dotted if _source_file(dotted) else None
                name = _Import(str(node.module), alias.name, as_module)
                imports[alias.asname or alias.name] = name
    return imports


@cache
def _statement_texts(module: str) -> tuple[str, ...]:
    """Return the canonical text of each statement of a module that is digested."""
    return tuple(
        _canonical_text(node, module) for node in _tree(module).body if not _is_prose(node)
    )


@cache
def _referent_digest(module: str, name: str) -> str | None:
    """Return a digest of what a name refers to: another module, its definition, or a constant.

    None if the name itself is digested: a local, or a function of this module, whose text is
    digested where it is defined; also of plumbing.
    """
    imported = _imports(module).get(name)
    if imported is None:
        value = _constants(module).get(name)
        return None if value is None else _hash([_canonical_text(value, module)])
    if _is_plumbing(imported.as_module or imported.module):
        return None
    if imported.as_module:
        return _hash(_statement_texts(imported.as_module))
    return _hash(_definition(imported.module, imported.name))


@cache
def _constants(module: str) -> dict[str, ast.expr]:
    """Return the values of a module's constants, by name."""
    constants: dict[str, ast.expr] = {}
    for node in _tree(module).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and not _is_prose(node):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            constants |= {str(_name_of(target)): node.value for target in targets}
    return constants


def _definition(module: str, name: str) -> list[str]:
    """Return the canonical text of a module's definition of `name`; nothing if it is prose."""
    for node in _tree(module).body:
        if getattr(node, "name", None) == name:
            return [] if _is_prose(node) else [_canonical_text(node, module)]
    return [_referent_digest(module, name) or name]  # a constant, or a name that it imports


def _canonical_text(node: object, module: str | None = None) -> str:
    """Return a syntax tree as text that is the same under every Python version.

    `ast.dump` differs, since newer versions leave out empty fields; here they are always left out.
    Names are resolved by the imports and constants of `module`, to which the tree belongs.
    """
    if isinstance(node, list):
        texts = [_canonical_text(n, module) for n in node if not _is_prose(n)]
        return f"[{','.join(texts)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and module:
        imported, referent = _imports(module).get(node.id), _referent_digest(module, node.id)
        if referent:
            is_module = imported and imported.as_module
            return f"Name({'a module' if is_module else node.id} is {referent})"
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_module(node.value):
        return f"Module({_hash(_statement_texts(node.value))})"
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        node = ast.Raise(node.exc.func, None)
    fields = [(k, v) for k, v in ast.iter_fields(node) if v not in (None, []) and k != "kind"]
    if isinstance(node, ast.ClassDef) and any(map(_is_option, node.body)):
        computed = [n for n in node.body if not _is_option(n) and not is_check(n)]
        fields = [(k, computed if k == "body" else v) for k, v in fields]
    inner = ",".join(
        f"{k}={_canonical_text(v, module)}" for k, v in fields if not isinstance(v, ast.Load)
    )
    return f"{type(node).__name__}({inner})"


def _is_option(node: ast.stmt) -> bool:
    call = node.value if isinstance(node, ast.AnnAssign) else None
    return isinstance(call, ast.Call) and _name_of(call.func) == "option"


def is_check(node: ast.stmt) -> bool:
    """Whether a statement of an options class is a method that only checks, and may only raise."""
    return isinstance(node, ast.FunctionDef) and (
        node.name == "__post_init__" or node.name.lstrip("_").startswith("check_")
    )


def _is_module(text: str) -> bool:
    return text.startswith("ltdm.") and not _is_plumbing(text) and _source_file(text) is not None


def _is_plumbing(module: str) -> bool:
    return any(f"{module}.".startswith(f"{prefix}.") for prefix in PLUMBING)


def _is_ltdm_import(node: ast.ImportFrom) -> bool:
    return (node.module or "").split(".")[0] == "ltdm"


def _is_prose(node: object) -> bool:
    """Whether a statement is not digested: a docstring, a protocol, a log line, a citation.

    An import from ltdm is not digested either; what it imports is, where that is defined.
    """
    if isinstance(node, ast.ClassDef):
        return any(_name_of(base) == "Protocol" for base in node.bases)
    if isinstance(node, ast.ImportFrom):
        return _is_ltdm_import(node) or node.module in TYPE_MODULES
    if isinstance(node, ast.Assign):
        return _name_of(node.targets[0]) == "CITATION"
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        return _name_of(node.value.func.value) == "log"
    return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _name_of(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else None
