"""Paired differences between runs, with a confidence interval.

Networks are paired by seed: runs with the same seed share their data and the noise of their images.
With n >= 2 seeds the interval is Student's for the mean of n differences. With one seed it is
normal, from the two standard errors over generated images, and does not include the variation
between trainings.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy

ENTRY_KEYS = ["dataset", "run", "sample_set", "sampler", "guidance", "weights"]
"""Columns that identify an entry, a row of a table; an entry has one row of data per seed."""
Key = tuple[Any, ...]
VALUE_KEYS = ["extractor", "metric", "group"]
"""Columns that identify a value, a column of a table."""
CONFIDENCE = 0.95
QUANTILE = (1 + CONFIDENCE) / 2


class Interval(NamedTuple):
    """A mean paired difference and the ends of its confidence interval; NaN if not available."""

    difference: float
    low: float
    high: float
    seeds: int

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0; False if it is NaN."""
        return self.low > 0 or self.high < 0


NO_INTERVAL = Interval(np.nan, np.nan, np.nan, 0)


def half_width(values: np.ndarray) -> float:
    """Return half the width of Student's interval for the mean of n >= 2 values, shape (n,)."""
    n = len(values)
    return float(scipy.special.stdtrit(n - 1, QUANTILE) * values.std(ddof=1) / np.sqrt(n))


def is_above_zero(value: float, error: float) -> bool:
    """Whether the normal interval of a value excludes 0 from above; without an error, the value."""
    return bool(value > scipy.special.ndtri(QUANTILE) * np.nan_to_num(error))


def paired_interval(values: pd.DataFrame, baseline: pd.DataFrame) -> Interval:
    """Return the interval of values - baseline over the seeds that both have.

    Both have columns `value` and `error`, and the seed as index.
    """
    paired = values.join(baseline.add_suffix("_baseline"), how="inner")
    differences = (paired["value"] - paired["value_baseline"]).to_numpy()
    n = len(differences)
    if n == 0:
        return NO_INTERVAL
    if n == 1:
        error = np.hypot(*paired[["error", "error_baseline"]].iloc[0])
        half = scipy.special.ndtri(QUANTILE) * error
    else:
        half = half_width(differences)
    mean = differences.mean()
    return Interval(float(mean), float(mean - half), float(mean + half), n)


def group_entries(rows: pd.DataFrame) -> dict[Key, pd.DataFrame]:
    """Return value, error and note by seed of each entry (see ENTRY_KEYS), in the rows' order.

    The rows are those of one metric, group and extractor.
    """
    grouped = rows.groupby(ENTRY_KEYS, sort=False, dropna=False)
    return {key: entry.set_index("seed")[["value", "error", "note"]] for key, entry in grouped}


def differences_from(rows: pd.DataFrame, baseline: str) -> dict[Key, Interval]:
    """Return each entry's difference from the baseline run with the same data and sample set.

    The rows are those of one metric, group and extractor. Entries of the baseline are left out.
    """
    entries = group_entries(rows)
    baselines = {(d, s): entry for (d, run, s, *_), entry in entries.items() if run == baseline}
    return {
        key: paired_interval(entry, baselines.get((key[0], key[2]), entry[:0]))
        for key, entry in entries.items()
        if key[1] != baseline
    }


def differences(rows: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Return every run's difference from the baseline, for every metric, group and extractor."""
    records = []
    for value_key, value_rows in rows.groupby(VALUE_KEYS, sort=False):
        for key, interval in differences_from(value_rows, baseline).items():
            records.append((*key, *value_key, baseline, *interval))
    columns = [*ENTRY_KEYS, *VALUE_KEYS, "baseline", *Interval._fields]
    return pd.DataFrame(records, columns=columns)
