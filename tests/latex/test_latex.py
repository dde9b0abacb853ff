"""Every LaTeX file of the tables is compiled, with names that mean something to LaTeX.

Without LaTeX it fails, since nobody would notice a skipped one; `make test-latex` installs LaTeX.
"""

import shutil
import subprocess

import pandas as pd

from ltdm.config.layout import RULES
from ltdm.reporting.probe import probe_table
from ltdm.reporting.tables import difference_table, main_table
from ltdm.reporting.tuned import mark_chosen, tuned_table
from ltdm.reporting.writing import write_table
from ltdm.theory.findings import findings_table
from ltdm.theory.names import FIGURES
from ltdm.theory.tables import metrics_table
from tests.helpers import theory_rows
from tests.helpers.tidy_rows import probe_rows, tidy
from tests.helpers.ugly_names import UGLY

DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""
FAULTS = ("! ", "Missing character", "undefined", "LaTeX Warning")


def ugly_tables():
    """Each table of the workflow by its file's pattern, with ugly names of runs and classes."""
    values = {name: [k, k + 0.5] for k, name in enumerate(["base", *UGLY])}
    rows = tidy(values, note="few images")
    columns = ["frechet", "recall@tail"]
    yield "main", main_table(rows, columns)
    yield "vs_baseline", difference_table(rows, columns, "base")
    yield "tuned", tuned_table(rows, mark_chosen(rows, "frechet"), columns)
    yield "probe", probe_table(probe_rows(("ddpm", *UGLY)))
    sweep = theory_rows.sweep()
    yield "theory", findings_table({name: (sweep, FIGURES) for name in UGLY})
    classes = [sweep[sweep["group"] == "head"].assign(group=name) for name in UGLY]
    yield "theory-{sweep}", metrics_table(pd.concat(classes), UGLY, {})


def test_every_table_compiles_with_booktabs_alone(tmp_path):
    assert shutil.which("pdflatex"), "install LaTeX with `make test-latex`"
    tables = dict(ugly_tables())
    for number, table in enumerate(tables.values()):
        write_table(table, tmp_path / str(number))
    patterns = {p for rule in RULES.values() for p in rule.outputs.get("others", ())}
    stems = {pattern.partition("/")[2].removesuffix(".{form}") for pattern in patterns}
    assert {*tables, "{table}"} == {*stems, "main", "vs_baseline"}, "no table is left out"
    inputs = (rf"\input{{{number}.tex}} \clearpage" for number in range(len(tables)))
    (tmp_path / "all.tex").write_text(DOCUMENT % "\n".join(inputs))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="latin-1")
    log = (tmp_path / "all.log").read_text(encoding="latin-1")
    faults = [line for line in log.splitlines() if any(fault in line for fault in FAULTS)]
    assert (done.returncode, faults) == (0, []), done.stdout[-2000:]
