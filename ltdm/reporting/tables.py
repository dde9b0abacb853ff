"""The main table: a row a run, mean and standard deviation over seeds, the best in bold."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from importlib import import_module

import pandas as pd

from ltdm.registry import module_name, names

KEYS = ["dataset", "run", "sample_set", "sampler", "guidance", "weights"]
ARROWS = {True: "\u2191", False: "\u2193"}
SMALL = "\u2020"
TEX = str.maketrans(
    {
        "_": r"\_",
        "%": r"\%",
        "&": r"\&",
        ARROWS[True]: r"$\uparrow$",
        ARROWS[False]: r"$\downarrow$",
        SMALL: r"$^\dagger$",
    }
)
LEGEND = f"{SMALL} from few images: compare within a column only."


@dataclass(frozen=True)
class Cell:
    """One entry of the main table."""

    mean: float = math.nan
    sd: float = math.nan
    seeds: int = 0
    best: bool = False
    small: bool = False

    def text(self, bold: str = "{}", plus_minus: str = "\u00b1") -> str:
        """Write the entry; `bold` wraps it where it is the best of its column."""
        if math.isnan(self.mean):
            return "-"
        digits = 3 if abs(self.mean) < 1 else 2 if abs(self.mean) < 100 else 1
        value = f"{self.mean:.{digits}f}"
        if self.seeds > 1:
            value += f" {plus_minus} {self.sd:.{digits}f}"
        return (bold.format(value) if self.best else value) + (SMALL if self.small else "")


def directions() -> dict[str, bool]:
    """Return for each metric that exists whether higher is better."""
    modules = (import_module(module_name("metric", name)) for name in names("metric"))
    return {metric: up for m in modules for metric, up in m.HIGHER_IS_BETTER.items()}


def main_table(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return cells indexed by run and by whatever else differs between rows, in the rows' order.

    Args:
        rows: Tidy rows of one extractor.
        columns: `metric` (over all classes) or `metric@group`.
    """
    up = directions()
    made = rows[KEYS].drop_duplicates()
    index = pd.MultiIndex.from_frame(made)
    table = pd.DataFrame(index=index)
    for column in columns:
        metric, _, group = column.partition("@")
        mine = rows[(rows["metric"] == metric) & (rows["group"] == (group or "all"))]
        name = f"{metric}{f' ({group})' if group else ''} {ARROWS[up[metric]]}"
        cells = _cells(mine, up[metric])
        column_cells = [cells.get(key, Cell()) for key in index]
        table[name] = pd.Series(column_cells, index=index, dtype=object)
    constant: list[Hashable] = [
        k for k in KEYS if k != "run" and made[k].astype(str).nunique() == 1
    ]
    return table.droplevel(constant)


def _cells(rows: pd.DataFrame, higher_is_better: bool) -> dict[Hashable, Cell]:
    """Return the entries of one column by what they are about."""
    rows = rows.assign(small=rows["note"].fillna("").str.contains("small n"))
    groups = rows.groupby(KEYS, sort=False, dropna=False)
    stats = groups["value"].agg(["mean", "std", "count"]).assign(small=groups["small"].any())
    means = stats["mean"].groupby("dataset")
    best = stats["mean"] == means.transform("max" if higher_is_better else "min")
    stats["best"] = best & (means.transform("count") > 1)
    return {
        key: Cell(mean, sd, int(seeds), bool(best), bool(small))
        for key, mean, sd, seeds, small, best in stats.itertuples(name=None)
    }


def _has_small(table: pd.DataFrame) -> bool:
    return any(cell.small for _, row in _rows(table) for cell in row)


def to_csv(table: pd.DataFrame) -> str:
    """Write means, standard deviations and numbers of seeds, three columns an entry."""
    flat = pd.DataFrame(index=table.index)
    for name, cells in table.items():
        flat[str(name)] = [c.mean for c in cells]
        flat[f"{name} sd"] = [c.sd for c in cells]
        flat[f"{name} seeds"] = [c.seeds for c in cells]
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

    text = "".join(f"| {pad(line)} |\n" for line in [head, rule, *body])
    return text + (f"\n{LEGEND}\n" if _has_small(table) else "")


def to_latex(table: pd.DataFrame) -> str:
    """Write a LaTeX table in booktabs style."""

    def escape(text: object) -> str:
        return str(text).translate(TEX)

    def entry(cell: Cell) -> str:
        return cell.text(r"\textbf{{{}}}", r"$\pm$").translate(TEX)

    body = [[*map(escape, _labels(i)), *map(entry, row)] for i, row in _rows(table)]
    legend = [f"% {escape(LEGEND)}"] if _has_small(table) else []
    lines = [
        rf"\begin{{tabular}}{{{'l' * len(table.index.names)}{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(escape(h) for h in [*table.index.names, *table.columns]) + r" \\",
        r"\midrule",
        *(" & ".join(line) + r" \\" for line in body),
        r"\bottomrule",
        r"\end{tabular}",
        *legend,
    ]
    return "\n".join(lines) + "\n"


def _labels(index: object) -> tuple[object, ...]:
    return index if isinstance(index, tuple) else (index,)


def _rows(table: pd.DataFrame) -> list[tuple[object, list[Cell]]]:
    return [(row[0], list(row[1:])) for row in table.itertuples(name=None)]
