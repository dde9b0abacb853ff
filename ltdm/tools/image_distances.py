"""Distances between the images of sample sets and those of the first set, image by image.

Sample sets of one network start from the same noise, so differences are due to their settings:
precision, sampler, guidance.
"""

from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from ltdm.config.experiment import Experiment
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz


def run(experiment: Experiment) -> pd.DataFrame:
    """Return a row for each data set, run and sample set after the first.

    Columns: `mean` over all seeds and `max` of any seed of the absolute differences, in grey levels
    (0 to 255) or the units of points, and `differ`, the fraction of values that differ.

    Raises:
        LtdmError: The grid has only one sample set, or a set is missing or of another size.
    """
    grid = experiment.grid
    first, *others = grid["sample_set"]
    if not others:
        raise LtdmError(f"there is no sample set beside {first!r} to compare with; select two")

    rows = []
    for dataset, name, other in product(grid["dataset"], grid["run"], others):
        if other not in experiment.sets_of_run[name]:
            continue
        samples = partial(experiment.layout.path, "sample.samples", dataset=dataset, run=name)
        by_seed = [
            distances(*(samples(seed=seed, sample_set=s) for s in (first, other)))
            for seed in grid["seed"]
        ]
        mean, maximum, differ = zip(*by_seed, strict=True)
        row = {"dataset": dataset, "run": name, "sample_set": other, "from": first}
        rows.append({**row, "mean": np.mean(mean), "max": max(maximum), "differ": np.mean(differ)})
    return pd.DataFrame(rows)


def distances(first: Path, second: Path) -> tuple[float, float, float]:
    """Return mean and maximum absolute difference of two files' images; the fraction above 0.

    Raises:
        LtdmError: A file is missing or damaged, or the number or shape of the images differs.
    """
    (a,), (b,) = read_npz(first, "images"), read_npz(second, "images")
    if a.shape != b.shape:
        raise LtdmError(
            f"{first} holds images {a.shape}, {second} {b.shape}; compare sets of the same shape"
        )
    gap = np.abs(np.subtract(a, b, dtype=np.float32))
    return float(gap.mean(dtype=np.float64)), float(gap.max()), float((gap > 0).mean())
