"""Entries of tables, as text."""

import math
from dataclasses import dataclass

from ltdm.reporting.compare import UNKNOWN, Interval

HUGE = 1e6  # numbers from here on are written with an exponent
SMALL, ALIKE = "\u2020", "\u2248"


@dataclass(frozen=True)
class Cell:
    """One entry of the main table."""

    mean: float = math.nan  # over seeds
    spread: float = math.nan  # standard deviation over seeds; of one seed, its error over images
    seeds: int = 0
    best: bool = False  # of its column and data set
    alike: bool = False  # cannot be told from the best
    small: bool = False  # rests on few images

    def text(self, bold: str = "{}") -> str:
        """Write the entry; `bold` wraps it where it is the best of its column."""
        if math.isnan(self.mean):
            return "-"
        form = _form(self.mean, self.spread)
        value = f"{self.mean:{form}}"
        if not math.isnan(self.spread):
            value += f" \u00b1 {self.spread:{form}}"
        value = bold.format(value) if self.best else value
        return value + ALIKE * self.alike + SMALL * self.small

    def numbers(self) -> dict[str, float]:
        """Return what a CSV holds of it, by the ending of the column's name."""
        sd, error = (math.nan, self.spread) if self.seeds == 1 else (self.spread, math.nan)
        return {"": self.mean, " sd": sd, " error": error, " seeds": self.seeds}


@dataclass(frozen=True)
class Change:
    """One entry of the table of differences; in bold where it is better beyond doubt."""

    interval: Interval = UNKNOWN
    best: bool = False

    def text(self, bold: str = "{}") -> str:
        """Write the difference and its interval."""
        mean, low, high, _ = self.interval
        if math.isnan(mean):
            return "-"
        form = "+" + _form(mean, high - mean)
        value = f"{mean:{form}}"
        if not math.isnan(low):
            value += f" [{low:{form}}, {high:{form}}]"
        return bold.format(value) if self.best else value

    def numbers(self) -> dict[str, float]:
        """Return what a CSV holds of it, by the ending of the column's name."""
        mean, low, high, seeds = self.interval
        return {"": mean, " low": low, " high": high, " seeds": seeds}


def _form(*numbers: float) -> str:
    """Return the format to write numbers in: so many decimals as suit the largest of them."""
    scale = max((abs(n) for n in numbers if not math.isnan(n)), default=0.0)
    if scale >= HUGE:
        return ".2e"
    if 0 < scale < 0.01:
        return f".{2 - math.floor(math.log10(scale))}f"
    return f".{3 if scale < 1 else 2 if scale < 100 else 1}f"
