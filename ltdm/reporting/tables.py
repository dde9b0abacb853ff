"""The main table: a row a run, mean and standard deviation over seeds, the best in bold."""

from collections.abc import Hashable
from dataclasses import dataclass
from importlib import import_module

import pandas as pd

from ltdm.registry import module_name, names

KEYS = ["dataset", "run", "sample_set"]
ARROWS = {True: "\u2191", False: "\u2193"}


@dataclass(frozen=True)
class Cell:
    """One entry of the main table."""

    mean: float
    sd: float
    seeds: int
    best: bool

    def text(self, bold: str = "{}", plus_minus: str = "\u00b1") -> str:
        """Write the entry; `bold` wraps it where it is the best of its column."""
        if self.mean != self.mean:
            return "-"
        digits = 3 if abs(self.mean) < 1 else 2 if abs(self.mean) < 100 else 1
        value = f"{self.mean:.{digits}f}"
        if self.seeds > 1:
            value += f" {plus_minus} {self.sd:.{digits}f}"
        return bold.format(value) if self.best else value


def directions() -> dict[str, bool]:
    """Return for each metric that exists whether higher is better."""
    modules = (import_module(module_name("metric", name)) for name in names("metric"))
    return {metric: up for m in modules for metric, up in m.HIGHER_IS_BETTER.items()}


def main_table(rows: pd.DataFrame, columns: list[str], runs: list[str]) -> pd.DataFrame:
    """Return cells indexed by data set, run and sample set, with the columns asked for.

    Args:
        rows: Tidy rows of one extractor.
        columns: `metric` (over all classes) or `metric@group`.
        runs: The runs in the order wanted.
    """
    up = directions()
    result = {}
    for column in columns:
        metric, _, group = column.partition("@")
        mine = rows[(rows["metric"] == metric) & (rows["group"] == (group or "all"))]
        stats = mine.groupby(KEYS, sort=False)["value"].agg(["mean", "std", "count"])
        by_dataset = stats.groupby("dataset")["mean"]
        best = by_dataset.transform("max" if up[metric] else "min")
        result[f"{metric}{f' ({group})' if group else ''} {ARROWS[up[metric]]}"] = {
            key: Cell(mean, sd, int(n), bool(mean == best[key]) and len(stats) > 1)
            for key, mean, sd, n in stats.itertuples(name=None)
        }
    table = pd.DataFrame(result)
    table.index.names = KEYS
    order = {run: i for i, run in enumerate(runs)}
    table = table.sort_index(level="run", key=lambda x: x.map(order), sort_remaining=False)
    table = table.sort_index(level="dataset", kind="stable", sort_remaining=False)
    return _without_constant_levels(table)


def _without_constant_levels(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the data set and the sample set where there is only one of them."""
    single: list[Hashable] = [
        k for k in ("dataset", "sample_set") if table.index.get_level_values(k).nunique() == 1
    ]
    return table.droplevel(single)


def to_csv(table: pd.DataFrame) -> str:
    """Write means and standard deviations as numbers, two columns an entry."""
    flat = pd.DataFrame(index=table.index)
    for name, cells in table.items():
        flat[str(name)] = [c.mean for c in cells]
        flat[f"{name} sd"] = [c.sd for c in cells]
    return flat.to_csv(float_format="%.6g")


def to_markdown(table: pd.DataFrame) -> str:
    """Write a Markdown table, padded so that it also reads well as it stands."""
    labels = len(table.index.names)
    head = [*map(str, table.index.names), *map(str, table.columns)]
    body = [[*map(str, _labels(i)), *(c.text("**{}**") for c in row)] for i, row in _rows(table)]
    widths = [max(len(line[k]) for line in [head, *body]) for k in range(len(head))]
    rule = ["-" * w if k < labels else "-" * (w - 1) + ":" for k, w in enumerate(widths)]

    def pad(line: list[str]) -> str:
        cells = enumerate(zip(line, widths, strict=True))
        return " | ".join(t.ljust(w) if k < labels else t.rjust(w) for k, (t, w) in cells)

    return "".join(f"| {pad(line)} |\n" for line in [head, rule, *body])


def to_latex(table: pd.DataFrame) -> str:
    """Write a LaTeX table in booktabs style."""

    def escape(text: object) -> str:
        for plain, tex in (("_", r"\_"), ("%", r"\%"), ("&", r"\&")):
            text = str(text).replace(plain, tex)
        return (
            str(text).replace(ARROWS[True], r"$\uparrow$").replace(ARROWS[False], r"$\downarrow$")
        )

    body = [
        [*map(escape, _labels(i)), *(c.text(r"\textbf{{{}}}", r"$\pm$") for c in row)]
        for i, row in _rows(table)
    ]
    lines = [
        rf"\begin{{tabular}}{{{'l' * len(table.index.names)}{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(escape(h) for h in [*table.index.names, *table.columns]) + r" \\",
        r"\midrule",
        *(" & ".join(line) + r" \\" for line in body),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _labels(index: object) -> tuple[object, ...]:
    return index if isinstance(index, tuple) else (index,)


def _rows(table: pd.DataFrame) -> list[tuple[object, list[Cell]]]:
    return [(row[0], list(row[1:])) for row in table.itertuples(name=None)]
