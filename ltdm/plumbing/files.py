"""Files that are either whole or absent; a reader raises `LtdmError` where one is not whole."""

import errno
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ltdm.plumbing.errors import LtdmError

DISK = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the system allows",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "you have no permission to write there",
}

UNREADABLE = (
    zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, OSError,
    RuntimeError,  # an archive that is encrypted, or of a kind that zipfile does not know
)  # fmt: skip


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, and rename it to `path` once it is whole.

    Where the disk is full, read-only or closed to the user, `path` is as it was before.
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
        if error.errno not in DISK:
            raise
        raise LtdmError(
            f"cannot write {path}: {DISK[error.errno]}; fix that and run the same command again,"
            " what was finished before is kept"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write bytes, whole or not at all."""
    with writing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write JSON that a person can read, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    with reading(path):
        value = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("it holds no object")
        return value


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays as an uncompressed .npz: the same arrays always give the same bytes."""
    with writing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_npz(path: Path, *keys: str, ours: bool = True) -> list[np.ndarray]:
    """Read arrays by name from an .npz, which must hold them all."""
    return list(read_arrays(path, keys, ours=ours).values())


def read_arrays(
    path: Path, keys: Sequence[str], optional: Sequence[str] = (), ours: bool = True
) -> dict[str, np.ndarray]:
    """Read arrays by name from an .npz; those that are optional may not be there."""
    with reading(path, ours), np.load(path, allow_pickle=False) as archive:
        for key in keys:
            if key not in archive:
                raise LtdmError(f"{path} has no array {key!r}; it holds {', '.join(archive)}")
        return {key: archive[key] for key in (*keys, *optional) if key in archive}


@contextmanager
def reading(path: Path, ours: bool = True) -> Iterator[None]:
    """Turn what goes wrong while reading `path` into an `LtdmError`.

    What is `ours` a stage makes again; otherwise it is the user's own.
    """
    try:
        yield
    except FileNotFoundError as error:
        stage = "run the stage that makes it, or `snakemake`, which runs every stage that is due"
        raise LtdmError(f"{path} is missing; {stage if ours else 'fix the path'}") from error
    except (PermissionError, IsADirectoryError) as error:
        raise LtdmError(f"cannot read {path}: {error.strerror}") from error
    except UNREADABLE as error:
        again = "delete it and run the same command again" if ours else "fetch or make it again"
        raise LtdmError(f"{path} is damaged ({error}); {again}") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hex."""
    with reading(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
