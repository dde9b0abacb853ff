"""One file made by several jobs: which rows each makes, their parts, and the whole put together.

Rows are shared out in whole blocks, those that one job alone would cut. So each row is made in the
same call among the same others, and comes out the same whatever the number of jobs.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_arrays, write_npz


def split_blocks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Return the rows in blocks of `size`; the last one may be shorter."""
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def rows_of_shard(cut: Sequence[np.ndarray], shard: tuple[int, int]) -> np.ndarray:
    """Return the rows of a shard (its number, from 0, and how many there are) from all blocks.

    There are none for some where there are more shards than blocks.
    """
    number, of = shard
    mine = cut[number * len(cut) // of : (number + 1) * len(cut) // of]
    return np.concatenate([np.empty(0, np.int64), *mine])


def write_shard(
    path: Path, about: Mapping[str, Any], rows: np.ndarray, arrays: Mapping[str, np.ndarray]
) -> None:
    """Write what a shard made of its rows, with what it was made from."""
    write_npz(path, **arrays, rows=rows, about=np.array(json.dumps(about, sort_keys=True)))


def merge_shards(
    parts: Sequence[Path], about: Mapping[str, Any], length: int, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Put the shards' files together: the arrays among `names` that they hold, `length` rows each.

    Raises:
        LtdmError: A part is damaged or was made from anything but `about`, or rows are missing or
            twice there.
    """
    arrays: dict[str, np.ndarray] = {}
    made, expected = np.zeros(length, np.int64), json.dumps(about, sort_keys=True)
    for file in parts:
        part = read_arrays(file, ("rows", "about"), names)
        rows = part.pop("rows")
        if str(part.pop("about")) != expected:
            raise LtdmError(
                f"{file} was made by another config, network or code; delete it and run the same"
                " command again"
            )
        made[rows] += 1
        for name, array in part.items():
            if name not in arrays:
                arrays[name] = np.empty((length, *array.shape[1:]), array.dtype)
            arrays[name][rows] = array
    if (made != 1).any():
        raise LtdmError(
            f"the parts in {Path(parts[0]).parent} do not make up the whole: {(made == 0).sum()}"
            f" rows are missing, {(made > 1).sum()} are there twice, as when some jobs ran on a GPU"
            " and others did not; delete that folder and run the same command again, all on"
            " machines of one kind"
        )
    return arrays


def remove_shards(path: Path) -> None:
    """Remove a finished file's parts, those of an earlier number of shards too."""
    shutil.rmtree(Path(path).with_suffix(".shards"), ignore_errors=True)
