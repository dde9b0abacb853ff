"""One result file computed by several jobs: the rows of each job's shard, and merging the shards.

Jobs get whole blocks of rows, the same blocks that a single job would use. So each row is computed
in a call with the same other rows, and its result is the same for any number of jobs.
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
    """Return row numbers (N,) in blocks of `size`; the last block may be shorter."""
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def rows_of_shard(row_blocks: Sequence[np.ndarray], shard: tuple[int, int]) -> np.ndarray:
    """Return the row numbers of one shard, `(index from 0, number of shards)`, from all blocks.

    Some shards are empty if there are more shards than blocks.
    """
    index, total = shard
    own_blocks = row_blocks[
        index * len(row_blocks) // total : (index + 1) * len(row_blocks) // total
    ]
    return np.concatenate([np.empty(0, np.int64), *own_blocks])


def write_shard(
    path: Path, metadata: Mapping[str, Any], rows: np.ndarray, arrays: Mapping[str, np.ndarray]
) -> None:
    """Write `arrays`, one entry for each of the row numbers `rows`, int64 (b,), of a shard.

    The files of all shards of one result must have equal `metadata`, see `merge_shards`.
    """
    write_npz(path, **arrays, rows=rows, about=np.array(json.dumps(metadata, sort_keys=True)))


def merge_shards(
    files: Sequence[Path], metadata: Mapping[str, Any], length: int, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Merge the files of all shards into arrays of `length` rows.

    Returns those of the arrays `names` that the files have.

    Raises:
        LtdmError: A file is damaged, its metadata are not `metadata`, or rows are missing or twice
            there.
    """
    arrays: dict[str, np.ndarray] = {}
    copies, expected = np.zeros(length, np.int64), json.dumps(metadata, sort_keys=True)
    for file in files:
        shard = read_arrays(file, ("rows", "about"), names)
        rows = shard.pop("rows")
        if str(shard.pop("about")) != expected:
            raise LtdmError(
                f"{file} was made by another config, network or code; delete it and run the same"
                " command again"
            )
        copies[rows] += 1
        for name, array in shard.items():
            if name not in arrays:
                arrays[name] = np.empty((length, *array.shape[1:]), array.dtype)
            arrays[name][rows] = array
    if (copies != 1).any():
        raise LtdmError(
            f"the shards in {Path(files[0]).parent} are incomplete: {(copies == 0).sum()} rows are"
            f" missing and {(copies > 1).sum()} are there twice, as happens when some jobs ran on a"
            " GPU and others did not; delete that folder and run the same command again, with all"
            " jobs on machines of one kind"
        )
    return arrays


def remove_shards(path: Path) -> None:
    """Remove the shards of a finished file, including those of an earlier number of shards."""
    shutil.rmtree(Path(path).with_suffix(".shards"), ignore_errors=True)
