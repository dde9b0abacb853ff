"""Pairs of codes that the user says compute the same: the code of a result, and today's code.

Each `ltdm accept` writes its pairs to a file in `accepted/`, beside the results. A later edit makes
other code, which is in no pair. Deleting the file undoes the acceptance.
"""

import hashlib
import json
from pathlib import Path

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json, write_json
from ltdm.plumbing.provenance import commit

FOLDER = "accepted"
Pairs = frozenset[tuple[str, str]]


def load_pairs(root: Path) -> Pairs:
    """Return the pairs of codes, then and now, that are accepted in a results folder.

    Acceptance is transitive: with (a, b) and (b, c) it holds (a, c).

    Raises:
        LtdmError: A file holds no pairs.
    """
    pairs = {pair for file in pair_files(root) for pair in _read_pairs(file)}
    while more := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
        pairs |= more
    return frozenset(pairs)


def _read_pairs(file: Path) -> list[tuple[str, str]]:
    try:
        return [(str(pair["then"]), str(pair["now"])) for pair in read_json(file)["codes"]]
    except (KeyError, TypeError) as error:
        raise LtdmError(f"{file} names no pairs of codes; delete it, and accept again") from error


def pair_files(root: Path) -> list[Path]:
    """Return the files of a results folder that hold accepted pairs."""
    return sorted((Path(root) / FOLDER).glob("*.json"))


def write_pairs(root: Path, pairs: Pairs, because: str) -> Path:
    """Write accepted pairs, the reason and the commit of the code; return the file's path."""
    codes = [{"then": then, "now": now} for then, now in sorted(pairs)]
    name = hashlib.sha256(json.dumps(codes).encode()).hexdigest()[:12]
    file = Path(root) / FOLDER / f"{name}.json"
    write_json(file, {"because": because, "commit": commit(), "codes": codes})
    return file
