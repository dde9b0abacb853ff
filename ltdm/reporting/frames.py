"""The numbers behind a data set's figures: class counts, a metric by class, training losses."""

import pandas as pd

PER_CLASS_COLUMNS = ["run", "class", "name", "train", "value", "low", "high", "baseline", "metric"]


def mean_and_band(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the mean `value` over seeds by these columns, in the rows' order, with its band.

    The band, from `low` to `high`, is one standard deviation over seeds to both sides; with one
    seed one standard error, the column `error`, or nothing without one.
    """
    grouped = rows.groupby(keys, sort=False, dropna=False)
    mean = grouped["value"].mean()
    deviation = grouped["value"].std().fillna(grouped["error"].mean()).fillna(0)
    band = {"value": mean, "low": mean - deviation, "high": mean + deviation}
    return pd.DataFrame(band).reset_index()


def first_sample_sets(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each run's first sample set, the first in the rows' order."""
    return rows[rows["sample_set"] == rows.groupby("run")["sample_set"].transform("first")]


def counts_frame(table: pd.DataFrame) -> pd.DataFrame:
    """Return `class`, `name`, `train` and `available` of counts.csv, in its order."""
    return table[["class", "name", "train", "available"]]


def per_class_frame(rows: pd.DataFrame, table: pd.DataFrame, heading: str) -> pd.DataFrame:
    """Return a metric by run and class, the most frequent class first; see `mean_and_band`.

    Args:
        rows: Tidy rows of one data set, metric, extractor and sample set per run; those of other
            groups than `class-<k>` are left out.
        table: counts.csv of the data set.
        heading: The metric's name on display, for the column `metric`.
    """
    rows = rows[rows["group"].str.fullmatch(r"class-\d+")]
    rows = rows.assign(**{"class": rows["group"].str.removeprefix("class-").astype(int)})
    values = mean_and_band(rows, ["run", "class"])
    baselines = rows.groupby(["run", "class"])["baseline"].first().reset_index()
    order = table.sort_values("train", ascending=False, kind="stable")
    runs = pd.DataFrame({"run": rows["run"].unique()})
    frame = runs.merge(order[["class", "name", "train"]], how="cross")
    for part in (values, baselines):
        frame = frame.merge(part, how="left", on=["run", "class"])
    return frame.assign(metric=heading)[PER_CLASS_COLUMNS]


def training_frame(histories: pd.DataFrame) -> pd.DataFrame:
    """Return the denoising loss by run and training step: the mean over seeds, with its band.

    `histories` are rows of history.csv with the columns `run` and `seed`; imported runs have none.
    """
    rows = histories.assign(value=histories["denoise"], error=float("nan"))
    return mean_and_band(rows, ["run", "step"])
