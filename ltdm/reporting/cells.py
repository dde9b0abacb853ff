"""Cells of tables, and how they are written as text and as CSV values."""

import math
from dataclasses import dataclass

from ltdm.plumbing.errors import count_of
from ltdm.reporting.compare import NO_INTERVAL, Interval

EXPONENT_FROM = 1e6  # numbers from here on are written with an exponent
FEW_IMAGES_MARK, NOT_ABOVE_ZERO_MARK, NOT_SIGNIFICANT = "\u2020", "\u2021", "\u2248"


@dataclass(frozen=True)
class Cell:
    """A cell of the main table; NaN where there is no value."""

    mean: float = math.nan  # over seeds
    deviation: float = math.nan  # standard deviation over seeds; of one seed, the standard error
    seeds: int = 0
    best: bool = False  # of its column and data set
    not_significant: bool = False  # not significantly different from the best
    few_images: bool = False  # based on few images
    not_above_zero: bool = False  # an unbiased distance, not significantly greater than 0
    images: int = 0  # generated images per seed; 0 if unknown

    def to_text(self, bold: str = "{}") -> str:
        """Write mean, deviation and marks; the best value of a column is formatted by `bold`."""
        if math.isnan(self.mean):
            return "-"
        spec = _number_format(self.mean, self.deviation)
        value = f"{self.mean:{spec}}"
        if not math.isnan(self.deviation):
            value += f" \u00b1 {self.deviation:{spec}}"
        value = bold.format(value) if self.best else value
        marks = {
            NOT_SIGNIFICANT: self.not_significant,
            FEW_IMAGES_MARK: self.few_images,
            NOT_ABOVE_ZERO_MARK: self.not_above_zero,
        }
        return value + "".join(mark for mark, is_set in marks.items() if is_set)

    def detail(self) -> str:
        """Write what the text leaves out: more digits, the number of seeds and of images."""
        if math.isnan(self.mean):
            return ""
        parts = [f"{self.mean:.6g}"]
        if not math.isnan(self.deviation):
            kind = "standard error" if self.seeds == 1 else "standard deviation over seeds"
            parts.append(f"\u00b1 {self.deviation:.3g} ({kind})")
        if self.seeds:
            parts.append(count_of(self.seeds, "seed"))
        if self.images:
            parts.append(f"{self.images:,} generated images{' each' if self.seeds > 1 else ''}")
        return ", ".join(parts)

    def csv_values(self) -> dict[str, float]:
        """Return the cell's CSV values by suffix of the column's name."""
        sd, error = (math.nan, self.deviation) if self.seeds == 1 else (self.deviation, math.nan)
        return {"": self.mean, " sd": sd, " error": error, " seeds": self.seeds}


@dataclass(frozen=True)
class DifferenceCell:
    """A cell of the table of differences; `best` if significantly better than the baseline."""

    interval: Interval = NO_INTERVAL
    best: bool = False

    def to_text(self, bold: str = "{}") -> str:
        """Write the difference and its interval, formatted by `bold` if better."""
        mean, low, high, _ = self.interval
        if math.isnan(mean):
            return "-"
        spec = "+" + _number_format(mean, high - mean)
        value = f"{mean:{spec}}"
        if not math.isnan(low):
            value += f" [{low:{spec}}, {high:{spec}}]"
        return bold.format(value) if self.best else value

    def detail(self) -> str:
        """Write what the text leaves out: more digits, and the number of seeds."""
        mean, low, high, seeds = self.interval
        if math.isnan(mean):
            return ""
        interval = "" if math.isnan(low) else f", 95 % interval {low:.4g} to {high:.4g}"
        return f"{mean:.6g}{interval}" + (f", {count_of(seeds, 'seed')}" if seeds else "")

    def csv_values(self) -> dict[str, float]:
        """Return the cell's CSV values by suffix of the column's name."""
        mean, low, high, seeds = self.interval
        return {"": mean, " low": low, " high": high, " seeds": seeds}


def _number_format(*numbers: float) -> str:
    """Return a format specification with the decimals that suit the largest of the numbers."""
    scale = max((abs(n) for n in numbers if not math.isnan(n)), default=0.0)
    if scale >= EXPONENT_FROM:
        return ".2e"
    if 0 < scale < 0.01:
        return f".{2 - math.floor(math.log10(scale))}f"
    return f".{3 if scale < 1 else 2 if scale < 100 else 1}f"
