"""The table of tuned runs: each run's best sample set, chosen against a half of the reference."""

import pandas as pd

from ltdm.reporting.columns import parse_column
from ltdm.reporting.headings import display_name, higher_is_better
from ltdm.reporting.tables import Column, Table, main_table

RUN_KEYS = ["dataset", "run"]
SET_KEYS = [*RUN_KEYS, "sample_set"]


def mark_chosen(scores: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the rows of tuning scores that a column of the table chooses by, with `chosen`.

    A run's chosen sample set has the best mean over seeds, one set for all of them; of equal ones
    it is the first. A set without a value for some seed is never chosen.
    """
    metric, group, _ = parse_column(column)
    rows = scores[(scores["metric"] == metric) & (scores["group"] == (group or "all"))]
    complete = rows[rows.groupby(SET_KEYS)["value"].transform("count") == rows["seed"].nunique()]
    means = complete.groupby(SET_KEYS, sort=False)["value"].mean()
    by_run = means.groupby(RUN_KEYS, sort=False)
    best = by_run.idxmax() if higher_is_better(metric) else by_run.idxmin()
    return rows.assign(chosen=pd.MultiIndex.from_frame(rows[SET_KEYS]).isin([*best]))


def tuned_table(rows: pd.DataFrame, scores: pd.DataFrame, columns: list[str]) -> Table:
    """Return the main table of the chosen sample sets, with the score that each was chosen by.

    `rows` are tidy rows against the reporting half, in the config's order of extractors; `scores`
    are those of `mark_chosen`.
    """
    chosen = scores[scores["chosen"]]
    kept = rows.merge(chosen[SET_KEYS].drop_duplicates())
    name = display_name(columns[0], "".join(scores["extractor"].unique()[:1]), scores)
    score = Column(f"{name} of the tuning half", None, chosen)
    table = main_table(kept, columns, score, labels=("run", "sample_set", "guidance"))
    legend = [*table.legend, f"Sample sets, and so guidance, chosen by {name} on the other half."]
    with_choice = {*zip(chosen["dataset"], chosen["run"], strict=True)}
    runs = scores[RUN_KEYS].drop_duplicates().itertuples(index=False)
    if missing := [f"{run} on {data}" for data, run in runs if (data, run) not in with_choice]:
        legend.append(f"Without a score to choose by: {', '.join(missing)}.")
    return table._replace(legend=legend)
