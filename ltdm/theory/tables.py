"""Tables of the theory lab: what each game's networks draw."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from ltdm.reporting.cells import NOT_SIGNIFICANT, Cell
from ltdm.reporting.compare import CONFIDENCE, Interval, paired_interval
from ltdm.reporting.tables import ARROWS, Table
from ltdm.theory.options import WORST

GAMES = ["tail", "steps", "beta"]
FLOOR = 1e-3  # distances below it are lost in the noise of so few draws
Reported = Mapping[float, Mapping[str, tuple[float, float]]]


def least(values: pd.Series) -> float:
    """Return the number in the index at which a series is least."""
    return float(values.index.to_numpy()[values.to_numpy().argmin()])


def end(rows: pd.DataFrame) -> float:
    """Return the last step, as the rows have it."""
    return float(rows.loc[np.isfinite(rows["steps"]), "steps"].max())


def curves(rows: pd.DataFrame, metric: str, over: str, group: str = WORST) -> pd.DataFrame:
    """Return a metric over some axis, a column for each seed."""
    mine = rows[(rows["metric"] == metric) & (rows["group"] == group)]
    return mine.pivot_table(index=over, columns="seed", values="value")


def distances(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of what networks draw: KL, and a Frechet distance for each sampler."""
    of_draws = (rows["metric"] == "kl") | rows["metric"].str.startswith("frechet-")
    return rows[of_draws & rows["beta"].notna()]


def last_class(rows: pd.DataFrame) -> str:
    """Return the last class, the one of the fewest points."""
    return [group for group in rows["group"].unique() if group != WORST][-1]


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
    *ends, seeds = paired_interval(*logs)
    difference, low, high = map(math.expm1, ends)
    return Interval(difference, low, high, seeds)


def measures(rows: pd.DataFrame, classes: Sequence[str], reported: Reported) -> Table:
    """Return a line for each game: Frechet distances and KL of each class.

    What others report of Frechet distances, by beta and class, is shown if it has all of the
    sweep's betas.
    """
    drawn = distances(rows)
    games = list(drawn[GAMES].drop_duplicates().sort_values(GAMES).itertuples(False, None))
    cells = {}
    for metric in sorted(drawn["metric"].unique()):
        for group in classes:
            mine = drawn[(drawn["metric"] == metric) & (drawn["group"] == group)]
            column = _column(mine, games, robust=metric == "kl")
            cells[f"{metric} ({group}){ARROWS[False]}"] = column
    if {*drawn["beta"]} <= reported.keys():
        for c in classes:
            cells[f"reported frechet ({c})"] = [Cell(*reported[beta][c]) for *_, beta in games]
    labels = [(int(tail), int(steps), f"{beta:g}") for tail, steps, beta in games]
    index = pd.MultiIndex.from_tuples(labels, names=GAMES)
    return Table(pd.DataFrame(cells, index), list(_legend(rows, classes)))


def _legend(rows: pd.DataFrame, classes: Sequence[str]) -> Iterator[str]:
    """Explain the cells, and say how near samplers come with the exact scores."""
    seeds = rows["seed"].nunique()
    yield (
        f"\u00b1 standard deviation over {seeds} seeds; of kl the median, \u00b1 half the range"
        " of the middle half of them."
        if seeds > 1
        else "One seed."
    )
    yield (
        "Bold: least of its tail and steps, by the mean of logarithms;"
        f" {NOT_SIGNIFICANT} not told from it:"
        f" no {CONFIDENCE:.0%} interval of the logarithms' difference, paired by seed, excludes 0."
    )
    for metric, mine in rows[rows["beta"].isna()].groupby("metric"):
        values = mine.groupby("group")["value"].mean()
        shown = ", ".join(f"{values[c]:.3f} ({c})" for c in classes)
        yield f"With the exact scores, {metric} is {shown}."


def _column(rows: pd.DataFrame, games: list[tuple], robust: bool) -> list[Cell]:
    """Return the cells of a column, the best of each tail and number of steps marked."""
    found = {key: mine.set_index("seed")["value"] for key, mine in rows.groupby(GAMES)}
    logs = {key: np.log(mine.clip(lower=FLOOR)).mean() for key, mine in found.items()}
    cells = []
    for game in games:
        mine, rivals = found[game], [other for other in found if other[:2] == game[:2]]
        best = min(rivals, key=logs.__getitem__)
        alike = game != best and not change(mine, found[best]).significant
        low, median, high = mine.quantile([0.25, 0.5, 0.75])
        about, spread = (median, (high - low) / 2) if robust else (mine.mean(), mine.std())
        spread = spread if len(mine) > 1 else math.nan
        cells.append(Cell(about, spread, len(mine), game == best and len(rivals) > 1, alike))
    return cells
