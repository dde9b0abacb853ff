"""Paired differences between runs, with a confidence interval.

Networks are paired by seed: the runs of one seed share their data, and the noise of their images.
With n >= 2 seeds the interval is Student's for the mean of n differences. With one seed it is
normal, from the two standard errors over generated images, and says nothing of how training varies.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy

ENTRY_KEYS = ["dataset", "run", "sample_set", "sampler", "guidance", "weights"]
"""What makes rows one entry of a table: all but the seed."""
Key = tuple[Any, ...]
VALUE_KEYS = ["extractor", "metric", "group"]
CONFIDENCE = 0.95
QUANTILE = (1 + CONFIDENCE) / 2


class Interval(NamedTuple):
    """A mean paired difference and the ends of its interval; NaN where nothing is known."""

    difference: float
    low: float
    high: float
    seeds: int

    @property
    def significant(self) -> bool:
        """Whether the two can be told apart; never where nothing is known."""
        return self.low > 0 or self.high < 0


NO_INTERVAL = Interval(np.nan, np.nan, np.nan, 0)


def half_width(values: np.ndarray) -> float:
    """Return half the width of Student's interval for the mean of at least two values."""
    n = len(values)
    return float(scipy.special.stdtrit(n - 1, QUANTILE) * values.std(ddof=1) / np.sqrt(n))


def paired_interval(values: pd.DataFrame, baseline: pd.DataFrame) -> Interval:
    """Return the interval of mine - theirs (value and error by seed), over the seeds in both."""
    paired = values.join(baseline.add_suffix("_theirs"), how="inner")
    differences = (paired["value"] - paired["value_theirs"]).to_numpy()
    n = len(differences)
    if n == 0:
        return NO_INTERVAL
    if n == 1:
        half = scipy.special.ndtri(QUANTILE) * np.hypot(*paired[["error", "error_theirs"]].iloc[0])
    else:
        half = half_width(differences)
    mean = differences.mean()
    return Interval(float(mean), float(mean - half), float(mean + half), n)


def group_entries(rows: pd.DataFrame) -> dict[Key, pd.DataFrame]:
    """Return value, error and note by seed of each entry of a column (see KEYS).

    A column is the rows of one metric, group and extractor; their order is kept.
    """
    grouped = rows.groupby(ENTRY_KEYS, sort=False, dropna=False)
    return {key: values.set_index("seed")[["value", "error", "note"]] for key, values in grouped}


def differences_from(rows: pd.DataFrame, baseline: str) -> dict[Key, Interval]:
    """Return each other entry's difference from the baseline's entry of its data and samples."""
    table_entries = group_entries(rows)
    by_sample_set = {
        (d, s): values for (d, run, s, *_), values in table_entries.items() if run == baseline
    }
    return {
        key: paired_interval(values, by_sample_set.get((key[0], key[2]), values[:0]))
        for key, values in table_entries.items()
        if key[1] != baseline
    }


def differences(rows: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Return every run's difference from the baseline, in every metric, group and extractor."""
    table_entries = [
        (*key, *value_key, baseline, *difference)
        for value_key, values in rows.groupby(VALUE_KEYS, sort=False)
        for key, difference in differences_from(values, baseline).items()
    ]
    return pd.DataFrame(
        table_entries, columns=[*ENTRY_KEYS, *VALUE_KEYS, "baseline", *Interval._fields]
    )
