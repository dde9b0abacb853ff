"""Progress of long work: a bar in a terminal, a line now and then in a log."""

import logging
import sys
import time
from types import TracebackType

from tqdm import tqdm

log = logging.getLogger("ltdm")
LINE_EVERY = 10.0  # seconds between lines in a log
WORTH_A_LINE = 1.0  # seconds; what took less says nothing when it is done


class Progress:
    """Counts `total` units of work; use as a context manager."""

    def __init__(self, what: str, total: int, unit: str, done: int = 0):
        self.what, self.total, self.unit, self.done = what, total, unit, done
        self.first = done
        self.started = self.shown = time.monotonic()
        self.bar = tqdm(
            total=total,
            initial=done,
            desc=what,
            unit=unit,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more units done; `note` is shown beside them."""
        self.done += count
        if not self.bar.disable:
            if note:
                self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(count)
            return
        now = time.monotonic()
        if now - self.shown >= LINE_EVERY or (
            self.done == self.total and now - self.started >= WORTH_A_LINE
        ):
            self.shown = now
            rate = (self.done - self.first) / max(now - self.started, 1e-9)
            left = (self.total - self.done) / rate
            log.info(
                "%s: %d of %d %s, %.1f/s, %s left %s",
                self.what, self.done, self.total, self.unit, rate, duration(left), note,
            )  # fmt: skip

    def __enter__(self) -> "Progress":
        """Start."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bar."""
        self.bar.close()


def duration(seconds: float) -> str:
    """Write seconds as a person would: `42 s`, `3 min 20 s`, `5 h 12 min`."""
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    if s < 3600:
        return f"{s // 60} min {s % 60} s"
    return f"{s // 3600} h {s % 3600 // 60} min"
