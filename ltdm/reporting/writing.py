"""Tables as files: CSV, Markdown, LaTeX and HTML."""

from pathlib import Path

import pandas as pd

from ltdm.plumbing.files import write_text
from ltdm.reporting.cells import Cell, DifferenceCell
from ltdm.reporting.escapes import TEX_MARKS, escape_markdown, escape_tex
from ltdm.reporting.html import to_html
from ltdm.reporting.tables import Table, table_lines


def to_csv(table: Table) -> str:
    """Return the table as CSV, several columns per column of cells."""
    flat = {
        f"{name}{suffix}": [cell.csv_values()[suffix] for cell in cells]
        for name, cells in table.cells.items()
        for suffix in (cells.iloc[0].csv_values() if len(cells) else ())
    }
    return pd.DataFrame(flat, table.cells.index).to_csv(float_format="%.6g")


def to_markdown(table: Table) -> str:
    """Return the table in Markdown, with padded cells, so that it reads well as plain text."""
    num_labels = len(table.cells.index.names)
    head = [*map(escape_markdown, [*table.cells.index.names, *table.cells.columns])]
    body = [
        [*map(escape_markdown, labels), *(cell.to_text("**{}**") for cell in row)]
        for labels, row in table_lines(table)
    ]
    widths = [max(len(line[k]) for line in [head, *body]) for k in range(len(head))]
    rule = ["-" * w if k < num_labels else "-" * (w - 1) + ":" for k, w in enumerate(widths)]

    def pad(line: list[str]) -> str:
        cells = enumerate(zip(line, widths, strict=True))
        return " | ".join(t.ljust(w) if k < num_labels else t.rjust(w) for k, (t, w) in cells)

    lines = "".join(f"| {pad(line)} |\n" for line in [head, rule, *body])
    legend = (f"{escape_markdown(line)}  " for line in table.legend)
    return "\n".join([lines, *legend]).rstrip() + "\n"


def to_latex(table: Table) -> str:
    """Return the table in LaTeX, in booktabs style, with the legend as comments."""
    names, columns = table.cells.index.names, table.cells.columns
    body = [
        [*map(escape_tex, labels), *(_tex_value(cell) for cell in row)]
        for labels, row in table_lines(table)
    ]
    lines = [
        rf"\begin{{tabular}}{{{'l' * len(names)}{'r' * len(columns)}}}",
        r"\toprule",
        " & ".join(map(escape_tex, [*names, *columns])) + r" \\",
        r"\midrule",
        *(" & ".join(line) + r" \\" for line in body),
        r"\bottomrule",
        r"\end{tabular}",
        *(f"% {escape_tex(line)}" for line in table.legend),
    ]
    return "\n".join(lines) + "\n"


def _tex_value(cell: Cell | DifferenceCell) -> str:
    """Return a cell in LaTeX; it has numbers and marks, and its command for bold."""
    return cell.to_text(r"\textbf{{{}}}").translate(TEX_MARKS)


WRITERS = {".csv": to_csv, ".md": to_markdown, ".tex": to_latex}


def write_table(table: Table, path: Path) -> None:
    """Write a table in every format; `path` has no suffix."""
    for suffix, writer in WRITERS.items():
        write_text(Path(f"{path}{suffix}"), writer(table))
    write_text(Path(f"{path}.html"), to_html(table, path.name))
