"""Tables of the theory lab: the metrics of each game, and helpers that pick from its rows."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from ltdm.reporting.cells import NOT_SIGNIFICANT, Cell
from ltdm.reporting.compare import CONFIDENCE, Interval, paired_interval
from ltdm.reporting.tables import ARROWS, Table
from ltdm.theory.names import WORST

GAME_COLUMNS = ["tail", "steps", "beta"]
MIN_DISTANCE = 1e-3  # distances below it are sampling noise and count as this
Reported = Mapping[float, Mapping[str, tuple[float, float]]]
"""Mean and standard deviation of a Frechet distance, by beta and class."""


def argmin_index(values: pd.Series) -> float:
    """Return the index, a number, of the smallest value."""
    return float(values.index.to_numpy()[values.to_numpy().argmin()])


def last_step(rows: pd.DataFrame) -> float:
    """Return the largest finite number of training steps in the rows."""
    return float(rows.loc[np.isfinite(rows["steps"]), "steps"].max())


def seed_curves(rows: pd.DataFrame, metric: str, over: str, group: str = WORST) -> pd.DataFrame:
    """Return a metric of a group: a row per value of the column `over`, a column per seed."""
    metric_rows = rows[(rows["metric"] == metric) & (rows["group"] == group)]
    return metric_rows.pivot_table(index=over, columns="seed", values="value")


def distance_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the networks' distances: KL, and each sampler's Frechet distance."""
    is_distance = (rows["metric"] == "kl") | rows["metric"].str.startswith("frechet-")
    return rows[is_distance & rows["beta"].notna()]


def last_class(rows: pd.DataFrame) -> str:
    """Return the last class, which has the fewest points."""
    return [group for group in rows["group"].unique() if group != WORST][-1]


def log_mean(values: pd.DataFrame) -> pd.Series:
    """Return each row's mean log distance over the columns (seeds)."""
    return pd.Series(np.log(values.clip(lower=MIN_DISTANCE)).mean(axis=1))


def relative_change(values: pd.Series, baseline: pd.Series) -> Interval:
    """Return the relative change of distances from a baseline, both by seed, with its interval.

    It is the exponential, less 1, of the mean difference of logarithms: a few seeds' distances are
    hundreds of times the others' and would dominate a plain mean.
    """
    logs = [
        pd.DataFrame({"value": np.log(series.clip(lower=MIN_DISTANCE)), "error": math.nan})
        for series in (values, baseline)
    ]
    *ends, seeds = paired_interval(*logs)
    difference, low, high = map(math.expm1, ends)
    return Interval(difference, low, high, seeds)


def metrics_table(rows: pd.DataFrame, classes: Sequence[str], reported: Reported) -> Table:
    """Return the table of a sweep: a line per game, with the distances of each class.

    Frechet distances that others report stand beside them if they cover all of the sweep's betas.
    """
    distances = distance_rows(rows)
    keys = distances[GAME_COLUMNS].drop_duplicates().sort_values(GAME_COLUMNS)
    games = list(keys.itertuples(index=False, name=None))
    cells = {}
    for metric in sorted(distances["metric"].unique()):
        for group in classes:
            chosen = (distances["metric"] == metric) & (distances["group"] == group)
            column = _metric_cells(distances[chosen], games, robust=metric == "kl")
            cells[f"{metric} ({group}){ARROWS[False]}"] = column
    if {*distances["beta"]} <= reported.keys():
        for c in classes:
            cells[f"reported frechet ({c})"] = [Cell(*reported[beta][c]) for *_, beta in games]
    labels = [(int(tail), int(steps), f"{beta:g}") for tail, steps, beta in games]
    index = pd.MultiIndex.from_tuples(labels, names=GAME_COLUMNS)
    return Table(pd.DataFrame(cells, index), list(_legend_lines(rows, classes)))


def _legend_lines(rows: pd.DataFrame, classes: Sequence[str]) -> Iterator[str]:
    """Yield what the cells mean, and each sampler's distance with the exact scores."""
    seeds = rows["seed"].nunique()
    yield (
        f"Mean \u00b1 standard deviation over {seeds} seeds; for kl, median \u00b1 half the"
        " interquartile range."
        if seeds > 1
        else "One seed."
    )
    yield (
        "Bold: smallest of its tail and steps, by the mean of logarithms;"
        f" {NOT_SIGNIFICANT} not significantly different from it: the {CONFIDENCE:.0%} interval of"
        " the difference of logarithms, paired by seed, includes 0."
    )
    for metric, exact_rows in rows[rows["beta"].isna()].groupby("metric"):
        means = exact_rows.groupby("group")["value"].mean()
        values = ", ".join(f"{means[c]:.3f} ({c})" for c in classes)
        yield f"With the exact scores, {metric} is {values}."


def _metric_cells(rows: pd.DataFrame, games: list[tuple], robust: bool) -> list[Cell]:
    """Return a column's cells, one per game, the best of each tail and number of steps marked.

    `rows` are of one metric and class; a game is (tail, steps, beta). A `robust` cell holds the
    median and half the interquartile range.
    """
    by_game = {key: part.set_index("seed")["value"] for key, part in rows.groupby(GAME_COLUMNS)}
    logs = {key: np.log(part.clip(lower=MIN_DISTANCE)).mean() for key, part in by_game.items()}
    cells = []
    for game in games:
        values = by_game[game]
        competitors = [other for other in by_game if other[:2] == game[:2]]
        best = min(competitors, key=logs.__getitem__)
        not_significant = game != best and not relative_change(values, by_game[best]).significant
        low, median, high = values.quantile([0.25, 0.5, 0.75])
        centre, deviation = (median, (high - low) / 2) if robust else (values.mean(), values.std())
        deviation = deviation if len(values) > 1 else math.nan
        is_best = game == best and len(competitors) > 1
        cells.append(Cell(centre, deviation, len(values), is_best, not_significant))
    return cells
