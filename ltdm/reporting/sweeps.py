"""The numbers behind figures of a metric by guidance, or by the width of a post-hoc EMA."""

import pandas as pd

from ltdm.reporting.frames import mean_and_band

EMA_PREFIX = "posthoc-"  # of `weights` in rows of images from a post-hoc EMA; its width follows
LINE_KEYS = {"width": ["run", "sampler", "guidance"], "guidance": ["run", "sampler", "weights"]}
"""Columns that identify a line, by setting: its sample sets differ only in the setting."""
AXIS_LABELS = {"width": "width of the average", "guidance": "weight of guidance"}
PANEL_GROUPS = ("all", "head", "tail")
COLUMNS = ["run", "line", "group", "x", "value", "low", "high", "chosen", "metric", "x_label"]


def width_frame(rows: pd.DataFrame, heading: str) -> pd.DataFrame:
    """Return a metric by the width of the post-hoc EMA, as `_sweep_frame` does.

    A row without `x` has the value of the run's own EMA, if it was sampled with the same settings.
    """
    swept = rows[rows["weights"].str.startswith(EMA_PREFIX)]
    swept = swept.assign(width=swept["weights"].str.removeprefix(EMA_PREFIX).astype(float))
    own = rows[rows["weights"] == "ema"].merge(swept[LINE_KEYS["width"]].drop_duplicates())
    own = own.assign(width=float("nan"), sample_set="")  # all sample sets of a line are one point
    return _sweep_frame(pd.concat([swept, own]) if len(own) else swept, "width", heading)


def guidance_frame(rows: pd.DataFrame, chosen: pd.DataFrame | None, heading: str) -> pd.DataFrame:
    """Return a metric by the weight of guidance, as `_sweep_frame` does.

    `chosen`, if any were chosen, holds the columns `run` and `sample_set` of the sample sets that
    are marked in the column `chosen`.
    """
    return _sweep_frame(rows[rows["guidance"].notna()], "guidance", heading, chosen)


def _sweep_frame(
    rows: pd.DataFrame, setting: str, heading: str, chosen: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return a metric by a setting, `x`: a row per group of classes, line and point.

    See `mean_and_band`. The rows are tidy, of one data set, metric and extractor, with the setting
    as a column. The groups are all classes, head and tail, as far as there are rows.
    """
    rows = rows[rows["value"].notna() & rows["group"].isin(PANEL_GROUPS)]
    lines = _label_lines(rows, setting)
    rows = rows.assign(
        line=lines,
        group_order=rows["group"].map(PANEL_GROUPS.index),
        line_order=pd.factorize(lines)[0],
    ).sort_values(["group_order", "line_order", setting], kind="stable")
    frame = mean_and_band(rows, ["run", "line", "group", setting, "sample_set"])
    marked = set() if chosen is None else {*zip(chosen["run"], chosen["sample_set"], strict=True)}
    points = zip(frame["run"], frame["sample_set"], strict=True)
    frame = frame.assign(chosen=[point in marked for point in points], metric=heading)
    return frame.assign(x=frame[setting], x_label=AXIS_LABELS[setting])[COLUMNS]


def _label_lines(rows: pd.DataFrame, setting: str) -> pd.Series:
    """Return each row's line: its run, and the settings that differ between the run's lines."""
    labels = rows["run"].copy()
    for column in LINE_KEYS[setting][1:]:
        varies = rows.groupby("run")[column].transform("nunique", dropna=False) > 1
        settings = [f", {column} {value}" for value in rows[column]]
        labels = labels.where(~varies, labels + settings)
    return labels
