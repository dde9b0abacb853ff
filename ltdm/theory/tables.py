"""Tables of the theory lab: what each game's networks draw."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from ltdm.reporting.cells import ALIKE, Cell
from ltdm.reporting.compare import LEVEL, Interval, interval
from ltdm.reporting.tables import ARROWS, Table
from ltdm.theory.options import WORST

GAME_COLUMNS = ["tail", "steps", "beta"]
MIN_DISTANCE = 1e-3  # distances below it are lost in the noise of so few draws
Reported = Mapping[float, Mapping[str, tuple[float, float]]]


def argmin_index(values: pd.Series) -> float:
    """Return the number in the index at which a series is least."""
    return float(values.index.to_numpy()[values.to_numpy().argmin()])


def last_step(rows: pd.DataFrame) -> float:
    """Return the last step, as the rows have it."""
    return float(rows.loc[np.isfinite(rows["steps"]), "steps"].max())


def seed_curves(rows: pd.DataFrame, metric: str, over: str, group: str = WORST) -> pd.DataFrame:
    """Return a metric over some axis, a column for each seed."""
    mine = rows[(rows["metric"] == metric) & (rows["group"] == group)]
    return mine.pivot_table(index=over, columns="seed", values="value")


def distance_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of what networks draw: KL, and a Frechet distance for each sampler."""
    is_distance = (rows["metric"] == "kl") | rows["metric"].str.startswith("frechet-")
    return rows[is_distance & rows["beta"].notna()]


def last_class(rows: pd.DataFrame) -> str:
    """Return the last class, the one of the fewest points."""
    return [group for group in rows["group"].unique() if group != WORST][-1]


def log_mean(values: pd.DataFrame) -> pd.Series:
    """Return the mean over columns of the logarithms of distances."""
    return pd.Series(np.log(values.clip(lower=MIN_DISTANCE)).mean(axis=1))


def relative_change(values: pd.Series, baseline: pd.Series) -> Interval:
    """Return by what share of theirs mine differs, over seeds: of the mean of logarithms.

    A few seeds' distances are hundreds of times the others', so that plain means are theirs alone.
    """
    logs = [
        pd.DataFrame({"value": np.log(series.clip(lower=MIN_DISTANCE)), "error": math.nan})
        for series in (values, baseline)
    ]
    *ends, seeds = interval(*logs)
    difference, low, high = map(math.expm1, ends)
    return Interval(difference, low, high, seeds)


def metrics_table(rows: pd.DataFrame, classes: Sequence[str], reported: Reported) -> Table:
    """Return a line for each game: Frechet distances and KL of each class.

    What others report of Frechet distances, by beta and class, is shown if it has all of the
    sweep's betas.
    """
    distances = distance_rows(rows)
    games = list(
        distances[GAME_COLUMNS].drop_duplicates().sort_values(GAME_COLUMNS).itertuples(False, None)
    )
    cells = {}
    for metric in sorted(distances["metric"].unique()):
        for group in classes:
            mine = distances[(distances["metric"] == metric) & (distances["group"] == group)]
            column = _metric_cells(mine, games, robust=metric == "kl")
            cells[f"{metric} ({group}){ARROWS[False]}"] = column
    if {*distances["beta"]} <= reported.keys():
        for c in classes:
            cells[f"reported frechet ({c})"] = [Cell(*reported[beta][c]) for *_, beta in games]
    labels = [(int(tail), int(steps), f"{beta:g}") for tail, steps, beta in games]
    index = pd.MultiIndex.from_tuples(labels, names=GAME_COLUMNS)
    return Table(pd.DataFrame(cells, index), list(_legend_lines(rows, classes)))


def _legend_lines(rows: pd.DataFrame, classes: Sequence[str]) -> Iterator[str]:
    """Explain the cells, and say how near samplers come with the exact scores."""
    seeds = rows["seed"].nunique()
    yield (
        f"\u00b1 standard deviation over {seeds} seeds; of kl the median, \u00b1 half the range"
        " of the middle half of them."
        if seeds > 1
        else "One seed."
    )
    yield (
        f"Bold: least of its tail and steps, by the mean of logarithms; {ALIKE} not told from it:"
        f" no {LEVEL:.0%} interval of the logarithms' difference, paired by seed, excludes 0."
    )
    for metric, mine in rows[rows["beta"].isna()].groupby("metric"):
        values = mine.groupby("group")["value"].mean()
        shown = ", ".join(f"{values[c]:.3f} ({c})" for c in classes)
        yield f"With the exact scores, {metric} is {shown}."


def _metric_cells(rows: pd.DataFrame, games: list[tuple], robust: bool) -> list[Cell]:
    """Return the cells of a column, the best of each tail and number of steps marked."""
    values_by_game = {
        key: mine.set_index("seed")["value"] for key, mine in rows.groupby(GAME_COLUMNS)
    }
    logs = {
        key: np.log(mine.clip(lower=MIN_DISTANCE)).mean() for key, mine in values_by_game.items()
    }
    cells = []
    for game in games:
        mine, competitors = (
            values_by_game[game],
            [other for other in values_by_game if other[:2] == game[:2]],
        )
        best = min(competitors, key=logs.__getitem__)
        not_significant = game != best and not relative_change(mine, values_by_game[best]).tells
        low, median, high = mine.quantile([0.25, 0.5, 0.75])
        centre, deviation = (median, (high - low) / 2) if robust else (mine.mean(), mine.std())
        deviation = deviation if len(mine) > 1 else math.nan
        cells.append(
            Cell(
                centre, deviation, len(mine), game == best and len(competitors) > 1, not_significant
            )
        )
    return cells
