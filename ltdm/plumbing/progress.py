"""Progress of long work: a bar in a terminal, a line now and then in a log."""

import logging
import time
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from ltdm.plumbing.errors import Interruption, LtdmError
from ltdm.plumbing.files import write_json
from ltdm.plumbing.slurm import process_info

log = logging.getLogger("ltdm")
LINE_INTERVAL = 10.0  # seconds between lines in a log
MIN_SECONDS = 1.0  # seconds; what took less says nothing when it is done


class Progress:
    """Counts `total` units of work, of which `done` were done before; use as a context manager.

    Others can read how far it is in `file`, as JSON, which also counts the `images` of a unit.
    """

    def __init__(self, what: str, total: int, unit: str, done: int = 0, file: Path | None = None,
                 images: int = 1):  # fmt: skip
        self.what, self.total, self.unit, self.done = what, total, unit, done
        self.file, self.images, self.note, self.first = file, images, "", done
        self.started = self.shown = time.monotonic()
        self.bar = tqdm(
            desc=what, total=total, initial=done, unit=unit, disable=None, dynamic_ncols=True
        )  # None: only a terminal has a bar

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more units done; `note` is shown beside them."""
        self.done += count
        self.note = note or self.note
        if note:
            self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(count)
        now = time.monotonic()
        last = self.done == self.total and now - self.started >= MIN_SECONDS
        if now - self.shown < LINE_INTERVAL and not last:
            return
        self.shown = now
        self._tell()
        if self.bar.disable:
            log.info(
                "%s: %d of %d %s, %.1f/s, %s left %s",
                self.what, self.done, self.total, self.unit, self.rate,
                format_duration((self.total - self.done) / self.rate), note,
            )  # fmt: skip

    @property
    def rate(self) -> float:
        """Units a second since this process began."""
        return (self.done - self.first) / max(time.monotonic() - self.started, 1e-9)

    def _tell(self, ended: str = "") -> None:
        """Write the file; that it cannot be written stops nothing."""
        if self.file is None:
            return
        rate = self.rate
        told = {
            "what": self.what, "done": self.done, "total": self.total, "unit": self.unit,
            "images_per_second": rate * self.images, "units_per_second": rate,
            "note": self.note, "time": time.time(), "ended": ended, **process_info(),
        }  # fmt: skip
        with suppress(LtdmError, OSError):
            write_json(self.file, told)

    def __enter__(self) -> "Progress":
        self._tell()
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.bar.close()
        if isinstance(error, Interruption):
            self._tell("stopped")
        else:
            self._tell(f"failed: {error}" if error else "done")


def format_duration(seconds: float) -> str:
    """Write seconds as a person would: `42 s`, `3 min 20 s`, `5 h 12 min`."""
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    if s < 3600:
        return f"{s // 60} min {s % 60} s"
    return f"{s // 3600} h {s % 3600 // 60} min"
