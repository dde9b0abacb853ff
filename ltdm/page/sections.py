"""The sections of the page, from the tables, figures and records of a results folder."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ltdm.config.layout import Layout
from ltdm.page import charts
from ltdm.page.asked import Line, first_sets, read_asked, scored_networks
from ltdm.page.charts import Chart
from ltdm.page.compared import read_compared
from ltdm.page.images import Picture, read_picture, read_sheet
from ltdm.page.scores import read_scores
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import TABLE, explain_read_errors
from ltdm.reporting.figure_rows import read_figure_rows
from ltdm.theory.names import FIGURES

DrawCharts = Callable[[pd.DataFrame, list[str]], list[Chart]]
FOLDED = {"vs_baseline": "As a table", "tuned": "Settings chosen on half of the reference"}
"""Summaries of tables that are folded, by file name; so are the tables of the theory's sweeps."""
TITLES = {
    "scores": (
        "Scores",
        "A click on a heading sorts; one on a value shows more digits. Bold, marks and copies are"
        " of all runs, whichever are shown.",
    ),
    "differences": (
        "Differences from the baseline",
        "Paired by seed, with 95 % intervals. A filled point: significantly better.",
    ),
    "classes": (
        "Quality by class",
        "Bands: one standard deviation over seeds; with one seed, the standard error. Grey, dotted,"
        " where it is known: unseen real images.",
    ),
    "samples": (
        "Samples",
        "Rows are classes with their training images, most frequent first. All images are of the"
        " first seed, and runs of one experiment share their noise.",
    ),
    "training": ("Training", "Means over seeds."),
    "cost": (
        "Quality against cost",
        "The dashed line joins the runs for which no other is as good and cheaper, or better and no"
        " dearer.",
    ),
    "guidance": ("Guidance", "Large triangles are chosen weights."),
    "ema-width": ("Width of the average of weights", "Dashed: the run's own average."),
    "memorisation": (
        "Memorisation",
        "The generated images that are most likely copies, beside their nearest training images.",
    ),
    "probe": ("Linear probe", ""),
    "theory": ("Theory", ""),
}
"""Title and note of each section, in the page's order."""


class TableFile(NamedTuple):
    """A table as HTML, and the texts that a reader can copy; one with a summary is folded."""

    summary: str
    html: str
    copies: dict[str, str]


class NamedPicture(NamedTuple):
    """A picture with its title; that of one run can be switched off."""

    title: str
    picture: Picture
    run: str = ""


class Block(NamedTuple):
    """A part of a section: of one data set, or of all if it is empty."""

    dataset: str = ""
    tables: tuple[TableFile, ...] = ()
    charts: tuple[Chart, ...] = ()
    sheets: tuple[NamedPicture, ...] = ()
    pictures: tuple[NamedPicture, ...] = ()


class Section(NamedTuple):
    """A section of the page."""

    name: str
    title: str
    note: str
    blocks: list[Block]


class Contents:
    """What a results folder has for the page."""

    def __init__(self, results: Path):
        self.results, self.layout = results, Layout(results)
        self.tables, self.figures = results / "tables", results / "figures"
        self.compared = read_compared(results)
        if not results.is_dir():
            raise LtdmError(f"{results} is no folder; name one of results, such as results/demo")
        tidy, theory = self.layout.path("tables.tidy"), self.layout.path("theory_tables.findings")
        if not tidy.is_file() and not theory.is_file():
            raise LtdmError(
                f"{results} has no tables yet; run `snakemake` to the end, or see with"
                f" `ltdm status {results}` how far it is"
            )
        if tidy.is_file() and not self.layout.path("tables.main").is_file():
            raise LtdmError(
                f"{results} has no {self.layout.path('tables.main').name}, as if an older ltdm had"
                " made its tables; run `snakemake`, which makes what is missing"
            )
        columns = ["dataset", "run", "seed", "sample_set"]
        self.rows = pd.DataFrame(columns=columns)
        if tidy.is_file():
            self.rows = read_scores(tidy, columns, of_comparison=self.compared is not None)
        self.datasets = [*self.rows["dataset"].unique()]
        self.runs = [*self.rows["run"].unique()]
        self.seeds = [*self.rows["seed"].unique()]

    def asked(self) -> list[tuple[str, list[Line]]]:
        """Return what was asked, of a comparison folder by folder: titles, each with its lines."""
        folders = [name for name, _ in self.compared.folders] if self.compared else [""]
        return read_asked(self.layout, self.rows, folders)

    def network_records(self) -> list[Path]:
        """Return the records of the networks that have scores."""
        return [self.layout.path("train.record", **keys) for keys in scored_networks(self.rows)]

    def sections(self) -> list[Section]:
        """Return all sections; those without blocks belong to parts that the experiment lacks."""
        several = self.rows["sample_set"].nunique() > 1
        of_each = "Of each run its first sample set." if several else ""
        differences = self._charts("intervals", charts.intervals)
        blocks = {
            "scores": self._tables("main", "tuned"),
            "differences": [*differences, *(self._tables("vs_baseline") if differences else [])],
            "classes": self._charts("per-class", charts.by_class),
            "samples": self._sheets(),
            "training": self._charts("training", charts.training),
            "cost": self._charts("cost", charts.cost),
            "guidance": self._charts("guidance", charts.sweep),
            "ema-width": self._charts("ema-width", charts.sweep),
            "memorisation": self._copies(),
            "probe": [*self._tables("probe"), *self._pictures("{dataset}-probe")],
            "theory": self._theory(),
        }
        more = dict.fromkeys(("differences", "classes", "samples", "cost"), of_each)
        return [
            Section(name, title, f"{note} {more.get(name, '')}".strip(), blocks[name])
            for name, (title, note) in TITLES.items()
        ]

    def _tables(self, *names: str) -> list[Block]:
        """Return the tables of these names that exist, a block each."""
        files = [self.tables / f"{name}.html" for name in names]
        return [Block(tables=(_read_table(file),)) for file in files if file.is_file()]

    def _charts(self, figure: str, draw: DrawCharts) -> list[Block]:
        """Return the charts of a figure, a block per data set that has them."""
        blocks = []
        for dataset in self.datasets:
            file = self.figures / f"{dataset}-{figure}.csv"
            rows = read_figure_rows(file) if file.is_file() else pd.DataFrame()
            if len(rows):
                with explain_read_errors(file, TABLE):
                    blocks.append(Block(dataset, charts=tuple(draw(rows, self.runs))))
        return [block for block in blocks if block.charts]

    def _sheets(self) -> list[Block]:
        """Return real and generated images, a block per data set."""
        blocks = []
        for dataset in self.datasets:
            files = {"": self.layout.path("reference_sheet.picture", dataset=dataset)}
            for run, wildcards in first_sets(self.rows, dataset).items():
                files[run] = self.layout.path("sample_sheet.picture", **wildcards)
            sheets = [
                NamedPicture(run or "real images", read_sheet(file), run)
                for run, file in files.items()
                if file.is_file()
            ]
            blocks.append(Block(dataset, sheets=tuple(sheets)))
        return [block for block in blocks if block.sheets]

    def _copies(self) -> list[Block]:
        """Return the pictures of likely copies, a block per data set."""
        blocks = []
        for dataset in self.datasets:
            pictures = []
            for run, wildcards in first_sets(self.rows, dataset).items():
                any_metric = self.layout.path("copies_figure.picture", **wildcards, metric="any")
                for file in sorted(any_metric.parent.glob("*.png")):
                    pictures.append(NamedPicture(run, read_picture(file), run))
            if pictures:
                blocks.append(Block(dataset, pictures=tuple(pictures)))
        return blocks

    def _pictures(self, pattern: str) -> list[Block]:
        """Return figures that exist, a block per data set; the pattern lacks the suffix."""
        files = {d: self.figures / f"{pattern.format(dataset=d)}.png" for d in self.datasets}
        return [
            Block(dataset, pictures=(NamedPicture(dataset, read_picture(file)),))
            for dataset, file in files.items()
            if file.is_file()
        ]

    def _theory(self) -> list[Block]:
        """Return the figures and the tables of the theory lab."""
        records = self.layout.path("theory.record", sweep="any").parent.glob("*.json")
        sweeps = sorted(file.stem for file in records)
        figures = [
            file
            for sweep in sweeps
            for figure in FIGURES
            if (file := self.figures / f"theory-{sweep}-{figure}.png").is_file()
        ]
        pictures = [NamedPicture(f.stem.removeprefix("theory-"), read_picture(f)) for f in figures]
        shown = [Block(pictures=tuple(pictures))] if pictures else []
        return [*shown, *self._tables("theory", *(f"theory-{sweep}" for sweep in sweeps))]


def _read_table(file: Path) -> TableFile:
    """Return a table's HTML without the document around it, and its other formats."""
    formats = {"LaTeX": ".tex", "Markdown": ".md", "CSV": ".csv"}
    texts = {name: file.with_suffix(suffix) for name, suffix in formats.items()}
    copies = {name: f.read_text(encoding="utf-8") for name, f in texts.items() if f.is_file()}
    body = file.read_text(encoding="utf-8").partition("<main>")[2].partition("</main>")[0]
    return TableFile(FOLDED.get(file.stem, file.stem.partition("theory-")[2]), body, copies)
