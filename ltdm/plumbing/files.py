"""Reading and writing files: written complete or not at all, and read with errors explained."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ltdm.plumbing.errors import LtdmError, OptionError, shorten

DISK_ERRORS = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the system allows",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "you have no permission to write there",
    errno.EPERM: "you have no permission to write there",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "its path leads through a file",
    errno.EEXIST: "a file or a link to nowhere is in the place of its folder",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ELOOP: "its path leads through a link to itself",
    errno.EIO: "the disk fails",
}
DEVICE_ERRORS = ("OutOfMemoryError", "AcceleratorError")
"""PyTorch's errors of a GPU, which say nothing about a file; by name, without importing it."""
ARRAYS, TABLE = ".npz of plain arrays", "table in CSV"
"""Kinds of files, for messages."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to `path` if no error occurs.

    Otherwise `path` stays as it was.

    Raises:
        LtdmError: The disk is full or read-only, or the user cannot write to this path.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise LtdmError(
            f"cannot write {path}: {DISK_ERRORS[error.errno]}; fix that and run the same command"
            " again, which keeps finished results"
        ) from error
    finally:
        with suppress(OSError):  # it does not exist, and where its path is bad, it never did
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write bytes, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with sorted keys, atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: Path, kind: str = "JSON object", is_result: bool = True) -> dict[str, Any]:
    """Read a JSON object; errors as in `explain_read_errors`."""
    with explain_read_errors(path, kind, is_result):
        value = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("it holds no JSON object")
        return value


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays as an uncompressed .npz, atomically; equal arrays always give equal bytes."""
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_npz(path: Path, *keys: str, is_result: bool = True) -> list[np.ndarray]:
    """Read arrays by name from an .npz, all of which must be there; errors as in `read_arrays`."""
    return list(read_arrays(path, keys, is_result=is_result).values())


def read_arrays(
    path: Path, keys: Sequence[str], optional: Sequence[str] = (), is_result: bool = True
) -> dict[str, np.ndarray]:
    """Read arrays by name from an .npz: all of `keys`, and those of `optional` that exist.

    Raises:
        LtdmError: An array is missing, or as in `explain_read_errors` with `is_result`.
    """
    with explain_read_errors(path, ARRAYS, is_result), np.load(path, allow_pickle=False) as archive:
        for key in keys:
            if key not in archive:
                held = shorten([*archive])
                raise LtdmError(f"{path} has no array {key!r}; it holds {held}")
        arrays = {key: archive[key] for key in (*keys, *optional) if key in archive}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("a member is no array")
        return arrays


def plain_array(value: Any) -> np.ndarray:
    """Return what an .npz or .npy holds if it is an array, not a single number; else ValueError."""
    if not isinstance(value, np.ndarray) or not value.ndim:
        raise ValueError("it is no array")
    return value


@contextmanager
def explain_read_errors(
    path: Path, kind: str, is_result: bool = True, way_out: str = ""
) -> Iterator[None]:
    """Turn whatever reading `path` raises into an `LtdmError` with the way out.

    `kind` says what the file should be. The way out is to run the stage again if the file is a
    stage's result (`is_result`), or else to replace the user's own file; `way_out` replaces it. The
    texts of other libraries are left out, since their advice is for programmers. Errors of a GPU
    pass.
    """
    rerun = way_out or "delete it and run the same command again"
    replace = rerun if is_result else "fetch or make it again, or name another file"
    try:
        yield
    except LtdmError as error:
        if not isinstance(error, OptionError):
            raise
        raise LtdmError(f"{path} is damaged ({error}); {replace}") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        stage = way_out or "run the stage that makes it, or `snakemake`, which runs all that is due"
        raise LtdmError(f"{path} is missing; {stage if is_result else 'fix the path'}") from error
    except MemoryError as error:
        message = f"{path} needs more memory than there is, or is damaged"
        raise LtdmError(f"{message}; free some memory, or {replace}") from error
    except Exception as error:  # a decoder may raise anything on foreign bytes
        if type(error).__name__ in DEVICE_ERRORS:
            raise
        if isinstance(error, OSError) and error.strerror:
            raise LtdmError(f"cannot read {path}: {error.strerror}; correct that") from error
        raise LtdmError(f"{path} is damaged, or no {kind}; {replace}") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hex."""
    with explain_read_errors(path, "file"), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
