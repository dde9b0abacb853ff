"""Tables of the theory lab: what each game's networks draw."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ltdm.reporting.cells import ALIKE, Cell
from ltdm.reporting.compare import LEVEL, Interval, interval
from ltdm.reporting.tables import ARROWS, Table

GAMES = ["tail", "updates", "beta"]
FLOOR = 1e-3
"""Distances below which is only what so few draws cannot tell."""
Reported = Mapping[float, Mapping[str, tuple[float, float]]]


def by(rows: pd.DataFrame, keys: str | list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Give the rows of each key, in rising order."""
    yield from rows.groupby(keys)


def least(values: pd.Series) -> float:
    """Return the number in the index at which a series is least."""
    return float(values.index.to_numpy()[values.to_numpy().argmin()])


def end(rows: pd.DataFrame) -> float:
    """Return the last update, as the rows have it."""
    return float(rows.loc[np.isfinite(rows["updates"]), "updates"].max())


def curves(rows: pd.DataFrame, metric: str, over: str, group: str = "worst") -> pd.DataFrame:
    """Return a metric over some axis, a column for each seed."""
    mine = rows[(rows["metric"] == metric) & (rows["group"] == group)]
    return mine.pivot_table(index=over, columns="seed", values="value")


def distances(rows: pd.DataFrame) -> list[str]:
    """Return the metrics of what networks draw: KL, and a Frechet distance for each sampler."""
    return [one for one in rows["metric"].unique() if one == "kl" or one.startswith("frechet-")]


def middle(values: pd.DataFrame) -> pd.Series:
    """Return the mean over columns of the logarithms of distances."""
    return pd.Series(np.log(values.clip(lower=FLOOR)).mean(axis=1))


def change(mine: pd.Series, theirs: pd.Series) -> Interval:
    """Return by what share of theirs mine differs, over seeds: of the mean of logarithms.

    A few seeds' distances are hundreds of times the others', so that plain means are theirs alone.
    """
    logs = [
        pd.DataFrame({"value": np.log(one.clip(lower=FLOOR)), "error": math.nan})
        for one in (mine, theirs)
    ]
    found = interval(*logs)
    return found._replace(
        difference=math.expm1(found.difference), low=math.expm1(found.low),
        high=math.expm1(found.high),
    )  # fmt: skip


def measures(rows: pd.DataFrame, classes: Sequence[str], reported: Reported) -> Table:
    """Return a line for each game: Frechet distances and KL of each class.

    Args:
        rows: A sweep's.
        classes: Their names.
        reported: What others report of Frechet distances, by beta and class; it is shown if it has
            all of the sweep's betas.
    """
    drawn = rows[rows["metric"].isin(distances(rows)) & rows["beta"].notna()]
    games = list(drawn[GAMES].drop_duplicates().sort_values(GAMES).itertuples(index=False))
    labels = [(int(tail), int(updates), f"{beta:g}") for tail, updates, beta in games]
    cells = pd.DataFrame(index=pd.MultiIndex.from_tuples(labels, names=GAMES))
    for metric in sorted(distances(rows)):
        for group in classes:
            mine = drawn[(drawn["metric"] == metric) & (drawn["group"] == group)]
            column = _column(mine, games, robust=metric == "kl")
            heading = f"{metric} ({group}){ARROWS[False]}"
            cells[heading] = pd.Series(column, index=cells.index, dtype=object)
    if {*drawn["beta"]} <= reported.keys():
        for c in classes:
            known = [Cell(*reported[beta][c]) for *_, beta in games]
            cells[f"reported frechet ({c})"] = pd.Series(known, index=cells.index, dtype=object)
    return Table(cells, [*_legend(rows), *_exact(rows, classes)])


def _legend(rows: pd.DataFrame) -> list[str]:
    seeds = rows["seed"].nunique()
    spread = (f"\u00b1 standard deviation over {seeds} seeds; of kl the median, \u00b1 half the"
              " range of the middle half of them." if seeds > 1 else "One seed.")  # fmt: skip
    return [
        spread,
        f"Bold: least of its tail and updates, by the mean of logarithms; {ALIKE} not told from it:"
        f" no {LEVEL:.0%} interval of the logarithms' difference, paired by seed, excludes 0.",
    ]


def _exact(rows: pd.DataFrame, classes: Sequence[str]) -> Iterator[str]:
    """Say how near samplers come with the exact scores."""
    exact = rows[rows["beta"].isna()]
    for metric, mine in by(exact, "metric"):
        values = mine.groupby("group")["value"].mean()
        told = ", ".join(f"{values[c]:.3f} ({c})" for c in classes)
        yield f"With the exact scores, {metric} is {told}."


def _column(rows: pd.DataFrame, games: list[Any], robust: bool) -> list[Cell]:
    """Return the cells of a column, the best of each tail and number of updates marked."""
    found = {key: mine.set_index("seed")["value"] for key, mine in by(rows, GAMES)}
    logs = {key: np.log(mine.clip(lower=FLOOR)).mean() for key, mine in found.items()}
    cells = []
    for game in games:
        key, mine = tuple(game), found[tuple(game)]
        rivals = [other for other in found if other[:2] == key[:2]]
        best = min(rivals, key=logs.__getitem__)
        alike = key != best and not change(mine, found[best]).tells
        low, median, high = mine.quantile([0.25, 0.5, 0.75])
        about = (median, (high - low) / 2) if robust else (mine.mean(), mine.std())
        spread = float(about[1]) if len(mine) > 1 else math.nan
        top = key == best and len(rivals) > 1
        cells.append(Cell(float(about[0]), spread, len(mine), top, alike))
    return cells
