"""Tables as CSV, Markdown and LaTeX."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ltdm.plumbing.files import write_text
from ltdm.reporting.cells import FEW_IMAGES_MARK, NOT_ABOVE_ZERO_MARK, NOT_SIGNIFICANT
from ltdm.reporting.tables import Table

TEX_ESCAPES = str.maketrans(
    {
        "_": r"\_",
        "%": r"\%",
        "&": r"\&",
        "\u2191": r"$\uparrow$",
        "\u2193": r"$\downarrow$",
        "\u221e": r"$_\infty$",
        "\u00b1": r"$\pm$",
        FEW_IMAGES_MARK: r"$^\dagger$",
        NOT_ABOVE_ZERO_MARK: r"$^\ddagger$",
        NOT_SIGNIFICANT: r"$^\approx$",
    }
)


def to_csv(table: Table) -> str:
    """Return the table as CSV, several columns per column of cells."""
    flat = pd.DataFrame(index=table.cells.index)
    for name, cells in table.cells.items():
        for suffix in cells.iloc[0].csv_values() if len(cells) else ():
            flat[f"{name}{suffix}"] = [cell.csv_values()[suffix] for cell in cells]
    return flat.to_csv(float_format="%.6g")


def to_markdown(table: Table) -> str:
    """Return the table in Markdown, with padded cells, so that it reads well as plain text."""
    num_labels = len(table.cells.index.names)
    head = [*map(str, table.cells.index.names), *map(str, table.cells.columns)]
    body = [
        [*map(str, labels), *(cell.to_text("**{}**") for cell in row)]
        for labels, row in _table_lines(table)
    ]
    widths = [max(len(line[k]) for line in [head, *body]) for k in range(len(head))]
    rule = ["-" * w if k < num_labels else "-" * (w - 1) + ":" for k, w in enumerate(widths)]

    def pad(line: list[str]) -> str:
        cells = enumerate(zip(line, widths, strict=True))
        return " | ".join(t.ljust(w) if k < num_labels else t.rjust(w) for k, (t, w) in cells)

    lines = "".join(f"| {pad(line)} |\n" for line in [head, rule, *body])
    return "\n".join([lines, *(f"{line}  " for line in table.legend)]).rstrip() + "\n"


def to_latex(table: Table) -> str:
    """Return the table in LaTeX, in booktabs style, with the legend as comments."""

    def escape(text: object) -> str:
        return str(text).translate(TEX_ESCAPES)

    names, columns = table.cells.index.names, table.cells.columns
    body = [
        map(escape, [*labels, *(cell.to_text(r"\textbf{{{}}}") for cell in row)])
        for labels, row in _table_lines(table)
    ]
    lines = [
        rf"\begin{{tabular}}{{{'l' * len(names)}{'r' * len(columns)}}}",
        r"\toprule",
        " & ".join(map(escape, [*names, *columns])) + r" \\",
        r"\midrule",
        *(" & ".join(line) + r" \\" for line in body),
        r"\bottomrule",
        r"\end{tabular}",
        *(f"% {escape(line)}" for line in table.legend),
    ]
    return "\n".join(lines) + "\n"


def _table_lines(table: Table) -> Iterator[tuple[tuple, np.ndarray]]:
    """Yield each line's labels and cells."""
    for index, row in zip(table.cells.index, table.cells.to_numpy(), strict=True):
        yield index if isinstance(index, tuple) else (index,), row


WRITERS = {".csv": to_csv, ".md": to_markdown, ".tex": to_latex}


def write_table(table: Table, path: Path) -> None:
    """Write a table in every format; `path` has no suffix."""
    for suffix, writer in WRITERS.items():
        write_text(Path(f"{path}{suffix}"), writer(table))
