"""Figures of the check that a model of an H100 predicts; none of them was measured.

The model counts launches, operations and bytes: full waves of tiles on 132 multiprocessors, 0.72
to 0.8 of 800 TFLOP/s, 2.7 TB/s, and one core of the host to launch the kernels.
"""

from typing import Any, NamedTuple

from tests.gpu.steps import FASTEST

TOLERANCE = 1 / 3
"""A figure is marked if it lies outside its range by more than this share."""


class Expected(NamedTuple):
    """A figure of one row, and its expected range.

    Attributes:
        step: Step that measures it.
        row: Name of its row.
        figure: Key of the figure in the row.
        low: Lower end of the range.
        high: Upper end of the range.
        unit: Unit of figure and range.
    """

    step: str
    row: str
    figure: str
    low: float
    high: float
    unit: str

    @property
    def range_text(self) -> str:
        """The range as text."""
        same = self.low == self.high
        return f"{self.low:,g}" if same else f"{self.low:,g} to {self.high:,g}"

    def value_in(self, rows: list[dict[str, Any]]) -> float | None:
        """Return the figure from rows; None if it was not measured."""
        return next(
            (
                row[self.figure]
                for row in rows
                if (row["step"], row["what"]) == (self.step, self.row)
                and row.get(self.figure) is not None
            ),
            None,
        )

    def deviation(self, value: float) -> str:
        """Return "below" or "above" if a value is outside by more than a third; else ""."""
        if value < self.low * (1 - TOLERANCE):
            return "below"
        return "above" if value > self.high * (1 + TOLERANCE) else ""


def _images(step: str, row: str, low: float, high: float) -> Expected:
    return Expected(step, row, "img_per_s", low, high, "images/s")


EXPECTED = [
    _images("methods", "ddpm, eager", 1600, 2500),
    _images("methods", "ddpm, one graph", 3400, 3400),
    _images("compiled", "ddpm, compiled", 2000, 3000),
    _images("compiled", "ddpm, compiled, one graph", 5000, 5300),
    _images("compiled", f"ddpm, {FASTEST}", 6300, 6300),
    Expected("methods", "ddpm, one graph", "host_ms", 0.5, 0.5, "ms of the host"),
    Expected("methods", "cbdm, one graph", "ms", 34, 34, "ms"),
    Expected("methods", "ccua, one graph", "ms", 34, 34, "ms"),
    Expected("methods", "igd-shared, one graph", "ms", 24, 24, "ms"),
    Expected("methods", "igd-separate, one graph", "ms", 25, 40, "ms"),
    Expected("methods", "igd-released, eager", "ms", 595, 595, "ms"),
    _images("concurrent", "2 trainings at once", 8000, 8800),
    _images("concurrent", "3 trainings at once", 8000, 8800),
    _images("edm2", "edm2-c, eager", 3030, 3030),
    _images("edm2", "edm2-e, eager", 2900, 2900),
    _images("edm2", "edm2-g, eager", 4380, 4380),
    _images("edm2", "edm2-e, compiled", 7500, 7500),
    Expected("sampling", "bf16 over fp32", "ratio", 6, 12, "times"),
]


def markdown() -> str:
    """Return the table of docs/benchmarks.md, without measurements."""
    lines = ["| step | what | expected | measured |", "| --- | --- | ---: | ---: |"]
    lines += [f"| {e.step} | {e.row} | {e.range_text} {e.unit} | not measured |" for e in EXPECTED]
    return "\n".join(lines)
