"""What a model of an H100 expects of the check's figures; nothing of it was measured.

The model counts launches, operations and bytes: whole waves of tiles on 132 multiprocessors, 0.72
to 0.8 of 800 TFLOP/s, 2.7 TB/s, and one core of a host that launches the kernels.
"""

from typing import Any, NamedTuple

from tests.gpu.steps import FASTEST

TOLERANCE = 1 / 3
"""A figure that lies further outside than this share is marked."""


class Expected(NamedTuple):
    """A figure of one row, and the range that is expected.

    Attributes:
        step: The step that measures it.
        row: What its row is called.
        figure: Which of its figures.
        low: Least that is expected.
        high: Most that is expected.
        unit: Of all three.
    """

    step: str
    row: str
    figure: str
    low: float
    high: float
    unit: str

    @property
    def range_text(self) -> str:
        """The range in words."""
        same = self.low == self.high
        return f"{self.low:,g}" if same else f"{self.low:,g} to {self.high:,g}"

    def value_in(self, rows: list[dict[str, Any]]) -> float | None:
        """Return the figure, if it was measured."""
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
        """Return "below" or "above" where a figure lies more than a third outside; else ""."""
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
    _images("beside", "2 beside each other", 8000, 8800),
    _images("beside", "3 beside each other", 8000, 8800),
    _images("edm2", "edm2-c, eager", 3030, 3030),
    _images("edm2", "edm2-e, eager", 2900, 2900),
    _images("edm2", "edm2-g, eager", 4380, 4380),
    _images("edm2", "edm2-e, compiled", 7500, 7500),
    Expected("sampling", "bf16 over fp32", "ratio", 6, 12, "times"),
]


def markdown() -> str:
    """Return the table of docs/benchmarks.md, without what was measured."""
    lines = ["| step | what | expected | measured |", "| --- | --- | ---: | ---: |"]
    return "\n".join(
        [
            *lines,
            *(
                f"| {one.step} | {one.row} | {one.range_text} {one.unit} | not measured |"
                for one in EXPECTED
            ),
        ]
    )
