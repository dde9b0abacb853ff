"""Paired differences between runs, with a confidence interval.

Networks are paired by seed: the runs of one seed share their data, and the noise of their images.
With n >= 2 seeds the interval is Student's for the mean of n differences. With one seed it is
normal, from the two standard errors over generated images, and says nothing of how training varies.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy

KEYS = ["dataset", "run", "sample_set", "sampler", "guidance", "weights"]
"""What makes rows one entry of a table: all but the seed."""
Key = tuple[Any, ...]
WHAT = ["extractor", "metric", "group"]
LEVEL = 0.95
TAIL = (1 + LEVEL) / 2


class Interval(NamedTuple):
    """A mean paired difference and the ends of its interval; NaN where nothing is known."""

    difference: float
    low: float
    high: float
    seeds: int

    @property
    def tells(self) -> bool:
        """Whether the two can be told apart; never where nothing is known."""
        return self.low > 0 or self.high < 0


UNKNOWN = Interval(np.nan, np.nan, np.nan, 0)


def half_width(values: np.ndarray) -> float:
    """Return half the width of Student's interval for the mean of at least two values."""
    n = len(values)
    return float(scipy.special.stdtrit(n - 1, TAIL) * values.std(ddof=1) / np.sqrt(n))


def interval(mine: pd.DataFrame, theirs: pd.DataFrame) -> Interval:
    """Return the interval of mine - theirs (value and error by seed), over the seeds in both."""
    both = mine.join(theirs.add_suffix("_theirs"), how="inner")
    differences = (both["value"] - both["value_theirs"]).to_numpy()
    n = len(differences)
    if n == 0:
        return UNKNOWN
    if n == 1:
        half = scipy.special.ndtri(TAIL) * np.hypot(*both[["error", "error_theirs"]].iloc[0])
    else:
        half = half_width(differences)
    mean = differences.mean()
    return Interval(float(mean), float(mean - half), float(mean + half), n)


def entries(rows: pd.DataFrame) -> dict[Key, pd.DataFrame]:
    """Return value, error and note by seed of each entry of a column (see KEYS).

    A column is the rows of one metric, group and extractor; their order is kept.
    """
    grouped = rows.groupby(KEYS, sort=False, dropna=False)
    return {key: mine.set_index("seed")[["value", "error", "note"]] for key, mine in grouped}


def from_baseline(rows: pd.DataFrame, baseline: str) -> dict[Key, Interval]:
    """Return each other entry's difference from the baseline's entry of its data and samples."""
    found = entries(rows)
    theirs = {(d, s): mine for (d, run, s, *_), mine in found.items() if run == baseline}
    return {
        key: interval(mine, theirs.get((key[0], key[2]), mine[:0]))
        for key, mine in found.items()
        if key[1] != baseline
    }


def differences(rows: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Return every run's difference from the baseline, in every metric, group and extractor."""
    found = [
        (*key, *what, baseline, *one)
        for what, mine in rows.groupby(WHAT, sort=False)
        for key, one in from_baseline(mine, baseline).items()
    ]
    return pd.DataFrame(found, columns=[*KEYS, *WHAT, "baseline", *Interval._fields])
