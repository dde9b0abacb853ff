"""Reading and writing files: written complete or not at all, and read with errors explained."""

import errno
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ltdm.plumbing.errors import LtdmError

DISK_ERRORS = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the system allows",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "you have no permission to write there",
    errno.EEXIST: "a link to nowhere or a file is in the place of its folder",
    errno.ENOTDIR: "a file is in the place of its folder",
    errno.ELOOP: "a link on the way leads to itself",
}
READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    KeyError,
    OSError,
    RuntimeError,  # an archive that is encrypted, or of a kind that zipfile does not support
)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to `path` if no error occurs.

    Otherwise `path` stays as it was.

    Raises:
        LtdmError: The disk is full, read-only or not writable by the user, or the folder is none.
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
        with suppress(OSError):
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


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; errors as in `explain_read_errors`."""
    with explain_read_errors(path):
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
    with explain_read_errors(path, is_result), np.load(path, allow_pickle=False) as archive:
        for key in keys:
            if key not in archive:
                raise LtdmError(f"{path} has no array {key!r}; it holds {', '.join(archive)}")
        return {key: archive[key] for key in (*keys, *optional) if key in archive}


@contextmanager
def explain_read_errors(path: Path, is_result: bool = True) -> Iterator[None]:
    """Turn errors of reading `path` into an `LtdmError` with the way out.

    That is to run the stage again if the file is a stage's result (`is_result`), or else to replace
    the user's own file.
    """
    try:
        yield
    except FileNotFoundError as error:
        stage = "run the stage that makes it, or `snakemake`, which runs every stage that is due"
        raise LtdmError(f"{path} is missing; {stage if is_result else 'fix the path'}") from error
    except (PermissionError, IsADirectoryError) as error:
        raise LtdmError(f"cannot read {path}: {error.strerror}; correct that") from error
    except READ_ERRORS as error:
        rerun, replace = "delete it and run the same command again", "fetch or make it again"
        way_out = rerun if is_result else replace
        raise LtdmError(f"{path} is damaged ({error}); {way_out}") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hex."""
    with explain_read_errors(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
