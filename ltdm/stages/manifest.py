"""All results -> manifest.json: the digest of every file behind every number, and its check."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ltdm.plumbing.errors import LtdmError, shorten
from ltdm.plumbing.files import read_json, sha256, write_json
from ltdm.plumbing.progress import Progress
from ltdm.plumbing.provenance import commit, versions
from ltdm.plumbing.request import Request, to_record

MAX_FAULTS = 10  # faults that a message names; the others are counted
THREADS = 4


def run(request: Request, *, manifest: Path) -> None:
    """Write `manifest`: the SHA-256, size in bytes and input files of each file.

    `request` has `places`, a mapping from each file to the files that it was made from. All of them
    lie below the folder of `manifest`.
    """
    root, inputs_of = manifest.parent, request["places"]
    files = {}
    for file, digest in _hash_files(list(inputs_of)).items():
        inputs = [_relative(root, path) for path in inputs_of[file]]
        size = file.stat().st_size
        files[_relative(root, file)] = {"sha256": digest, "bytes": size, "from": inputs}
    software = {"versions": versions(), "commit": commit()}
    write_json(manifest, {**to_record(request), **software, "files": files})


def verify(manifest: Path) -> tuple[int, int]:
    """Check all files against a manifest; return their number and their size in bytes.

    Raises:
        LtdmError: A file is missing or differs, or a record names another input than the manifest.
    """
    root, files = manifest.parent, _read_files(manifest)
    missing = [name for name in files if not (root / name).is_file()]
    existing = [root / name for name in files if name not in missing]
    digests = {_relative(root, file): digest for file, digest in _hash_files(existing).items()}
    faults = [f"{name} is missing" for name in missing]
    faults += [f"{name} differs" for name in digests if digests[name] != files[name]["sha256"]]
    if not faults:
        faults = _broken_links(root, files)
    if faults:
        raise LtdmError(
            f"{root} differs from its manifest: {shorten(faults, MAX_FAULTS)}; restore the files,"
            " or delete them and run `snakemake` again"
        )
    return len(files), sum(entry["bytes"] for entry in files.values())


def _read_files(manifest: Path) -> dict[str, Any]:
    """Return the entries of a manifest by file name.

    Raises:
        LtdmError: There are none, or an entry is incomplete.
    """
    content = read_json(manifest)
    try:
        files = {
            str(name): {
                "sha256": str(entry["sha256"]),
                "bytes": int(entry["bytes"]),
                "from": [*map(str, entry["from"])],
            }
            for name, entry in content["files"].items()
        }
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError):
        files = {}
    if not files:
        raise LtdmError(f"{manifest} lists no files; delete it and run `snakemake` again")
    return files


def _broken_links(root: Path, files: dict[str, Any]) -> list[str]:
    """Return the faults of networks whose record names other data, or another initial network."""
    faults = []
    for name, entry in files.items():
        if name.endswith("/run.json"):
            record = read_json(root / name)
            for parent in entry["from"]:
                data = files.get(parent, {}).get("sha256")
                if parent.endswith("/train.npz") and record.get("data") != data:
                    faults.append(f"{name} was trained on another {parent}")
                if parent.endswith("/model.safetensors"):
                    start = read_json((root / parent).with_name("run.json"))
                    if record.get("init") != start.get("key"):
                        faults.append(f"{name} started from another {parent}")
    return faults


def _hash_files(files: list[Path]) -> dict[Path, str]:
    """Return the SHA-256 of each file, computed in a few threads."""
    with ThreadPoolExecutor(THREADS) as pool, Progress("reading", len(files), "files") as progress:
        digests = {}
        for file, digest in zip(files, pool.map(sha256, files), strict=True):
            digests[file] = digest
            progress.advance()
    return digests


def _relative(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix()
