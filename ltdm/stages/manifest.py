"""All artefacts -> manifest.json: the digest of every file behind every number, and its check."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json, sha256, write_json
from ltdm.plumbing.progress import Progress
from ltdm.plumbing.provenance import commit, versions

NAME = "manifest.json"
SHOWN = 10  # faults that are named; the rest are counted


def run(lineage: Mapping[Path, list[Path]], *, manifest: Path) -> None:
    """Write `manifest`: each file's SHA-256 and size, and the files that it was made from.

    Args:
        lineage: The files, each with those it was made from.
        manifest: Where it goes, in the folder that all files lie below.

    Raises:
        LtdmError: A file is missing.
    """
    root = Path(manifest).parent
    digests = _digests(list(lineage))
    files = {
        _below(root, file): {
            "sha256": digest, "bytes": Path(file).stat().st_size,
            "from": [_below(root, parent) for parent in lineage[file]],
        }
        for file, digest in digests.items()
    }  # fmt: skip
    write_json(manifest, {"versions": versions(), "commit": commit(), "files": files})


def verify(root: Path) -> tuple[int, int]:
    """Check all files of a results folder against its manifest.

    Returns:
        How many files there are, and their bytes.

    Raises:
        LtdmError: A file is missing or differs, or a record names another file than lies there.
    """
    files = _listed(root / NAME)
    missing = [name for name in files if not (root / name).is_file()]
    there = [root / name for name in files if name not in missing]
    found = {_below(root, file): digest for file, digest in _digests(there).items()}
    faults = [f"{name} is missing" for name in missing]
    faults += [f"{n} differs" for n, digest in found.items() if digest != files[n]["sha256"]]
    faults += _broken_links(root, files) if not faults else []
    if faults:
        more = f", and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise LtdmError(
            f"{root} is not as its manifest says: {', '.join(faults[:SHOWN])}{more}; restore them,"
            " or delete what is wrong and run `snakemake` again"
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


def _broken_links(root: Path, files: Mapping[str, Any]) -> list[str]:
    """Return the networks whose record names other data, or another start, than lie there."""
    broken = []
    for name, entry in files.items():
        if name.endswith("/run.json"):
            record, (data, *start) = read_json(root / name), entry["from"]
            if record["data"] != files[data]["sha256"]:
                broken.append(f"{name} was trained on another {data}")
            for model in start:
                if record.get("init") != read_json((root / model).with_name("run.json"))["key"]:
                    broken.append(f"{name} started from another {model}")
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
    return Path(file).relative_to(root).as_posix()
