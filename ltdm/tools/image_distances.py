"""How far the images of sample sets lie from those of the first set, image by image.

Sets of one network begin at the same noise, so what differs is what the sets ask for: precision,
sampler, guidance.
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
    """Return a row for each data set, run and sample set but the first, meant over the seeds.

    Columns: `mean` and `max` (of all seeds) of the absolute differences, in grey levels of 255 or
    the units of points, and `differ`, the share of values that are not the same.

    Raises:
        LtdmError: The grid has one sample set, or a set is missing or of another size.
    """
    grid = experiment.grid
    first, *others = grid["sample_set"]
    if not others:
        raise LtdmError(f"there is no sample set beside {first!r} to compare with it; name two")

    rows = []
    for dataset, name, other in product(grid["dataset"], grid["run"], others):
        samples = partial(experiment.layout.path, "sample.samples", dataset=dataset, run=name)
        found = [
            distances(*(samples(seed=seed, sample_set=s) for s in (first, other)))
            for seed in grid["seed"]
        ]
        mean, most, differ = zip(*found, strict=True)
        where = {"dataset": dataset, "run": name, "sample_set": other, "from": first}
        rows.append({**where, "mean": np.mean(mean), "max": max(most), "differ": np.mean(differ)})
    return pd.DataFrame(rows)


def distances(one: Path, other: Path) -> tuple[float, float, float]:
    """Return mean and maximum of the absolute differences of two sets, and the share above 0.

    Raises:
        LtdmError: A file is missing or damaged, or they hold images of other numbers or shapes.
    """
    (a,), (b,) = read_npz(one, "images"), read_npz(other, "images")
    if a.shape != b.shape:
        raise LtdmError(f"{one} holds images {a.shape}, {other} {b.shape}; compare sets alike")
    gap = np.abs(np.subtract(a, b, dtype=np.float32))
    return float(gap.mean(dtype=np.float64)), float(gap.max()), float((gap > 0).mean())
