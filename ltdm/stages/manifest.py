"""All artefacts -> manifest.json: the digest of every file behind every number, and its check."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ltdm.plumbing.errors import LtdmError, shorten
from ltdm.plumbing.files import read_json, sha256, write_json
from ltdm.plumbing.progress import Progress
from ltdm.plumbing.provenance import commit, versions
from ltdm.plumbing.request import Request, to_record

SHOWN = 10  # faults that are named; the rest are counted


def run(request: Request, *, manifest: Path) -> None:
    """Write `manifest`: each file's SHA-256 and size, and the files that it was made from.

    It lies in the folder that all files lie below. `request` has `places`, the files, each with
    those that it was made from.
    """
    root, lineage = manifest.parent, request["places"]
    files = {}
    for file, digest in _digests(list(lineage)).items():
        behind = [_below(root, parent) for parent in lineage[file]]
        size = file.stat().st_size
        files[_below(root, file)] = {"sha256": digest, "bytes": size, "from": behind}
    by = {"versions": versions(), "commit": commit()}
    write_json(manifest, {**to_record(request), **by, "files": files})


def verify(manifest: Path) -> tuple[int, int]:
    """Check all files beside a manifest against it; return how many they are, and their bytes.

    Raises:
        LtdmError: A file is missing or differs, or a record names another file than lies there.
    """
    root, files = manifest.parent, _listed(manifest)
    missing = [name for name in files if not (root / name).is_file()]
    there = [root / name for name in files if name not in missing]
    found = {_below(root, file): digest for file, digest in _digests(there).items()}
    faults = [f"{name} is missing" for name in missing]
    faults += [f"{n} differs" for n, digest in found.items() if digest != files[n]["sha256"]]
    faults += _broken_links(root, files) if not faults else []
    if faults:
        raise LtdmError(
            f"{root} is not as its manifest says: {shorten(faults, SHOWN)}; restore them, or delete"
            " what is wrong and run `snakemake` again"
        )
    return len(files), sum(entry["bytes"] for entry in files.values())


def _listed(manifest: Path) -> dict[str, Any]:
    """Return the files that a manifest lists.

    Raises:
        LtdmError: It lists none, or not what is needed of them.
    """
    files: dict[str, Any] = read_json(manifest).get("files") or {}
    needed = {"sha256", "bytes", "from"}
    try:
        sound = files and all(needed <= entry.keys() for entry in files.values())
    except AttributeError:
        sound = False
    if not sound:
        raise LtdmError(f"{manifest} lists no files; delete it and run `snakemake` again")
    return files


def _broken_links(root: Path, files: dict[str, Any]) -> list[str]:
    """Return the networks whose record names other data, or another start, than lie there."""
    broken = []
    for name, entry in files.items():
        if name.endswith("/run.json"):
            record = read_json(root / name)
            for parent in entry["from"]:
                if parent.endswith("/train.npz") and record["data"] != files[parent]["sha256"]:
                    broken.append(f"{name} was trained on another {parent}")
                if parent.endswith("/model.safetensors"):
                    start = read_json((root / parent).with_name("run.json"))
                    if record.get("init") != start["key"]:
                        broken.append(f"{name} started from another {parent}")
    return broken


def _digests(files: list[Path]) -> dict[Path, str]:
    """Return the SHA-256 of each file, a few at a time."""
    with ThreadPoolExecutor(4) as pool, Progress("reading", len(files), "files") as progress:
        made = {}
        for file, digest in zip(files, pool.map(sha256, files), strict=True):
            made[file] = digest
            progress.advance()
    return made


def _below(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix()
