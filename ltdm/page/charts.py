"""Interactive charts of the page, as Vega-Lite, from the CSV files of the figures.

All charts of a page share the parameter `runs`, the runs that are shown. A run has one colour, dash
and shape on the whole page.
"""

from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from ltdm.reporting.costs import cost_title
from ltdm.reporting.pictures import evenly_spaced
from ltdm.reporting.style import COLOURS
from ltdm.reporting.tables import ARROWS

VEGA_LITE = "6.4"  # the version of Altair's charts, whose JavaScript the page has
RUNS = "runs"
DASHES = ([1, 0], [6, 3], [2, 2])
SHAPES = ("circle", "square", "diamond", "triangle-up")
HEIGHT = 260  # pixels
ROW_HEIGHT = 20  # pixels of a run in a chart with a row per run
MAX_LABELLED = 20  # classes; with more, only some have a label
MAX_POINTS = 200  # of a line of training
PAGE_COLOURS = [*COLOURS[:-1], "#8c8c8c"]  # black would not show on a dark ground


class Chart(NamedTuple):
    """A chart with its title, for its caption and for a reader who cannot see it."""

    title: str
    spec: dict[str, Any]  # Vega-Lite
    dataset: str = ""


def by_class(rows: pd.DataFrame, runs: list[str]) -> list[Chart]:
    """Return a metric by class, most frequent class first, from `<data set>-per-class.csv`."""
    metric = rows["metric"].iloc[0]
    classes = rows.drop_duplicates("class")
    ranks = {name: rank for rank, name in enumerate(classes["class"])}
    rows = rows.assign(rank=rows["class"].map(ranks))
    axis = alt.Axis(
        title="training images of the class, most frequent class first",
        labelExpr=f"{classes['train'].tolist()}[datum.value]",
        values=list(range(len(ranks))) if len(ranks) <= MAX_LABELLED else alt.Undefined,
        grid=False,
        tickMinStep=1,
    )
    base = _chart(rows).encode(
        x=alt.X("rank:Q", axis=axis, scale=alt.Scale(nice=False, padding=8)),
        color=_colour(runs),
        tooltip=[
            "run",
            alt.Tooltip("name", title="class"),
            alt.Tooltip("train", title="training images"),
            *_numbers("value", "low", "high"),
        ],
    )
    y = alt.Y("value:Q", title=metric, scale=alt.Scale(zero=not (rows["value"] < 0).any()))
    layers = [
        base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=metric), y2="high:Q"),
        base.mark_line().encode(y=y, strokeDash=_dash(runs)),
        base.mark_point(filled=True, size=30).encode(y=y, shape=_shape(runs)),
    ]
    if rows["baseline"].notna().any():
        known = rows.groupby("rank", as_index=False)["baseline"].first()
        baseline = alt.Chart(known).encode(x="rank:Q", y="baseline:Q")
        layers.append(baseline.mark_line(color="#888888", strokeDash=[1, 3]))
    return [Chart(f"{metric} by class", _spec(alt.layer(*layers), runs))]


def training(rows: pd.DataFrame, runs: list[str]) -> list[Chart]:
    """Return the denoising loss by training step, from `<data set>-training.csv`.

    Of a long training evenly spaced rows are shown, the first and the last among them.
    """
    lines = [line for _, line in rows.groupby("run", sort=False)]
    rows = pd.concat(line.iloc[evenly_spaced(len(line), MAX_POINTS)] for line in lines)
    chart = _chart(rows).encode(
        x=alt.X("step:Q", title="training step", axis=alt.Axis(grid=False)),
        color=_colour(runs),
        tooltip=["run", "step", *_numbers("value", "low", "high")],
    )
    scale = alt.Scale(type="log", nice=False)
    y = alt.Y("value:Q", title="denoising loss", scale=scale)
    line = chart.mark_line(strokeWidth=1.5).encode(y=y, strokeDash=_dash(runs))
    band = chart.mark_area(opacity=0.15).transform_filter("datum.low > 0")  # for the logarithm
    band = band.encode(y=alt.Y("low:Q", title="denoising loss", scale=scale), y2="high:Q")
    return [Chart("denoising loss by training step", _spec(alt.layer(band, line), runs))]


def intervals(rows: pd.DataFrame, runs: list[str]) -> list[Chart]:
    """Return differences from the baseline, a chart per column, from `<data set>-intervals.csv`."""
    charts = []
    for column, column_rows in rows.groupby("column", sort=False):
        order = [run for run in runs if run in {*column_rows["run"]}]
        up = column_rows["higher_is_better"].iloc[0]
        better = [] if pd.isna(up) else ["better \u2192" if up else "\u2190 better"]
        base = _chart(column_rows).encode(
            y=alt.Y("run:N", sort=order, title=None),
            color=_colour(runs),
            tooltip=["run", *_numbers("difference", "low", "high"), "seeds", "better"],
        )
        title = [f"difference from {column_rows['baseline_run'].iloc[0]}", *better]
        x = alt.X("difference:Q", title=title, axis=alt.Axis(titleFontWeight="normal"))
        zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color="#888888").encode(x="x:Q")
        bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=title), x2="high:Q")
        layers = [zero, bars] if column_rows["low"].notna().any() else [zero]
        filled = alt.condition("datum.better === true", _colour(runs), alt.value("transparent"))
        points = base.mark_point(size=55, opacity=1).encode(x=x, fill=filled)
        spec = _spec(alt.layer(*layers, points), runs, ROW_HEIGHT * len(order))
        charts.append(Chart(str(column), spec))
    return charts


def cost(rows: pd.DataFrame, runs: list[str]) -> list[Chart]:
    """Return quality against the cost of training, from `<data set>-cost.csv`.

    There is a chart for forward equivalents, and one for hours where they were measured.
    """
    charts = []
    for x in ("forward_equivalents", "hours"):
        shown = rows[rows["value"].notna() & rows[x].notna()]
        if shown.empty:
            continue
        column, up = shown[["column", "higher_is_better"]].iloc[0]
        y_title = column if pd.isna(up) else column + ARROWS[up]
        on_cpu = shown["device"].str.startswith("cpu").any()
        x_title = ["training time, hours" if on_cpu else "training time, GPU-hours"]
        if x == "forward_equivalents":
            x_title = cost_title(shown["unit_run"].iloc[0])
        scale = alt.Scale(type="log", nice=False, padding=30)
        axis = alt.Axis(format="~g" if x == "hours" else "~s", grid=False)
        base = _chart(shown).encode(
            x=alt.X(f"{x}:Q", title=x_title, scale=scale, axis=axis),
            color=_colour(runs),
            tooltip=["run", *_numbers("value", "low", "high", "forward_equivalents", "hours")],
        )
        y = alt.Y("value:Q", title=y_title, scale=alt.Scale(zero=False))
        bars = base.mark_rule().encode(y=alt.Y("low:Q", title=y_title), y2="high:Q")
        points = base.mark_point(filled=True, size=60).encode(y=y, shape=_shape(runs))
        names = base.mark_text(align="left", dx=7, dy=-5).transform_filter("datum.on_front")
        names = names.encode(y=y, text="run:N")  # of all runs they would cover each other
        layers = [bars, points]
        if x == "forward_equivalents":
            front = alt.Chart(shown[shown["on_front"]])  # of all runs, whichever are shown
            step = front.mark_line(color="#888888", interpolate="step-after", strokeDash=[3, 3])
            layers = [step.encode(x=f"{x}:Q", y="value:Q"), *layers, names]
        title = f"{column} against {' '.join(x_title)}"
        charts.append(Chart(title, _spec(alt.layer(*layers), runs)))
    return charts


def sweep(rows: pd.DataFrame, runs: list[str]) -> list[Chart]:
    """Return a metric by a setting, a chart per group of classes, from a sweep's CSV."""
    charts = []
    for group, group_rows in rows.groupby("group", sort=False):
        metric, setting = group_rows["metric"].iloc[0], group_rows["x_label"].iloc[0]
        swept = group_rows[group_rows["x"].notna()]
        base = _chart(swept).encode(
            x=alt.X("x:Q", title=setting, scale=alt.Scale(zero=False), axis=alt.Axis(grid=False)),
            color=_colour(runs),
            detail="line:N",
            tooltip=["line", "x", *_numbers("value", "low", "high")],
        )
        title = f"{metric}, {group}"
        y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False))
        shape = alt.condition("datum.chosen === true", alt.value("triangle-up"), _shape(runs))
        size = alt.condition("datum.chosen === true", alt.value(160), alt.value(30))
        layers = [
            base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
            base.mark_line().encode(y=y, strokeDash=_dash(runs)),
            base.mark_point(filled=True).encode(y=y, shape=shape, size=size),
        ]
        fixed = group_rows[group_rows["x"].isna()]
        if len(fixed):
            rule = _chart(fixed).mark_rule(strokeDash=[6, 3])
            layers.append(rule.encode(y="value:Q", color=_colour(runs), tooltip=["line", "value"]))
        charts.append(Chart(f"{metric}, {group}, by {setting}", _spec(alt.layer(*layers), runs)))
    return charts


class Look(NamedTuple):
    """How the lines and points of a run look."""

    colour: str
    dash: list[int]  # lengths of dashes and gaps, pixels
    shape: str


def look_of(number: int) -> Look:
    """Return a run's look by its number in the order; 84 runs differ."""
    cycle, hue = divmod(number, len(PAGE_COLOURS))
    return Look(PAGE_COLOURS[hue], DASHES[cycle % len(DASHES)], SHAPES[cycle % len(SHAPES)])


def _chart(rows: pd.DataFrame) -> alt.Chart:
    """Return an empty chart of these rows, without those of runs that are not shown."""
    mixed = [str(name) for name in rows if rows[name].dtype == object]
    # Truth values with gaps, whose NaN is no JSON.
    rows = rows.assign(**{name: rows[name].where(rows[name].notna(), None) for name in mixed})
    return alt.Chart(rows).transform_filter(f"indexof({RUNS}, datum.run) >= 0")


def _colour(runs: list[str]) -> alt.Color:
    colours = [look_of(i).colour for i in range(len(runs))]
    return alt.Color("run:N", scale=alt.Scale(domain=runs, range=colours), legend=None)


def _dash(runs: list[str]) -> alt.StrokeDash:
    dashes = [look_of(i).dash for i in range(len(runs))]
    return alt.StrokeDash("run:N", scale=alt.Scale(domain=runs, range=dashes), legend=None)


def _shape(runs: list[str]) -> alt.Shape:
    shapes = [look_of(i).shape for i in range(len(runs))]
    return alt.Shape("run:N", scale=alt.Scale(domain=runs, range=shapes), legend=None)


def _numbers(*columns: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(c, title=c.replace("_", " "), format=".4~g") for c in columns]


def _spec(chart: Any, runs: list[str], height: int = HEIGHT) -> dict[str, Any]:
    """Return the Vega-Lite of a chart as wide as its place, with the runs that are shown."""
    chart = chart.add_params(alt.param(name=RUNS, value=runs))
    with alt.data_transformers.enable("default", max_rows=None):  # the page may be large
        return chart.properties(width="container", height=height).to_dict()
