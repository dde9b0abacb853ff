"""Code that somebody vouches for: another text of it, the same results.

`ltdm accept` writes a record for each time, in `accepted/` beside the results. It holds pairs of
codes: what a result was made by then, and what the same stage and parts are now. A later edit is
another code, so it is not vouched for; deleting the record takes it back.
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
    """Return the pairs of codes, then and now, that are accepted in a folder of results."""
    found = {pair for file in pair_files(root) for pair in _pairs(file)}
    while more := {(a, d) for a, b in found for c, d in found if b == c} - found:
        found |= more  # who vouches for two steps vouches for both
    return frozenset(found)


def _pairs(file: Path) -> list[tuple[str, str]]:
    try:
        return [(str(pair["then"]), str(pair["now"])) for pair in read_json(file)["codes"]]
    except (KeyError, TypeError) as error:
        raise LtdmError(f"{file} names no pairs of codes; delete it, and accept again") from error


def pair_files(root: Path) -> list[Path]:
    """Return the files that say what is accepted."""
    return sorted((Path(root) / FOLDER).glob("*.json"))


def write_pairs(root: Path, pairs: Pairs, because: str) -> Path:
    """Write a record of what is accepted, and why; return where."""
    codes = [{"then": then, "now": now} for then, now in sorted(pairs)]
    name = hashlib.sha256(json.dumps(codes).encode()).hexdigest()[:12]
    file = Path(root) / FOLDER / f"{name}.json"
    write_json(file, {"because": because, "commit": commit(), "codes": codes})
    return file
