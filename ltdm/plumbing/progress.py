"""Progress of long work: a bar in a terminal, a line every ten seconds in a log, a status file."""

import logging
import time
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from ltdm.plumbing.errors import Interruption, LtdmError
from ltdm.plumbing.files import write_json
from ltdm.plumbing.slurm import process_info

log = logging.getLogger("ltdm")
LINE_INTERVAL = 10.0  # seconds between lines in a log, and at most between status files
FIRST_INTERVAL = 0.5  # seconds to the first status file: a process that dies early has done some
MIN_SECONDS = 1.0  # work that takes less logs no line at its end


class Progress:
    """Counts `total` units of work, of which `done` were done before; a context manager.

    Other processes can read the progress in the JSON `file`. A unit handles `images` images, for
    the file's images per second.
    """

    def __init__(
        self,
        what: str,
        total: int,
        unit: str,
        done: int = 0,
        file: Path | None = None,
        images: int = 1,
    ):
        self.what, self.total, self.unit, self.done = what, total, unit, done
        self.file, self.images, self.note, self.first = file, images, "", done
        self.started = self.last_report = time.monotonic()
        self.status_interval = FIRST_INTERVAL
        self.next_status = self.started + FIRST_INTERVAL
        self.bar = tqdm(
            desc=what, total=total, initial=done, unit=unit, disable=None, dynamic_ncols=True
        )  # disable=None: a bar only in a terminal

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more units as done, and show `note` beside them."""
        self.done += count
        self.note = note or self.note
        if note:
            self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(count)
        now = time.monotonic()
        at_end = self.done == self.total and now - self.started >= MIN_SECONDS
        if now >= self.next_status or at_end:
            self.status_interval = min(2 * self.status_interval, LINE_INTERVAL)
            self.next_status = now + self.status_interval
            self._write_status()
        if now - self.last_report < LINE_INTERVAL and not at_end:
            return
        self.last_report = now
        if self.bar.disable:
            remaining = format_duration((self.total - self.done) / self.rate)
            counts = self.what, self.done, self.total, self.unit
            log.info("%s: %d of %d %s, %.1f/s, %s left %s", *counts, self.rate, remaining, note)

    @property
    def rate(self) -> float:
        """Units per second since this process began."""
        return (self.done - self.first) / max(time.monotonic() - self.started, 1e-9)

    def _write_status(self, ended: str = "") -> None:
        """Write the status file; an error in writing it does not stop the work."""
        if self.file is None:
            return
        rate = self.rate
        status = {
            "what": self.what,
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "images_per_second": rate * self.images,
            "units_per_second": rate,
            "note": self.note,
            "time": time.time(),
            "ended": ended,
            **process_info(),
        }
        with suppress(LtdmError, OSError):
            write_json(self.file, status)

    def __enter__(self) -> "Progress":
        self._write_status()
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.bar.close()
        if isinstance(error, Interruption):
            self._write_status("stopped")
        else:
            self._write_status(f"failed: {error}" if error else "done")


def format_duration(seconds: float) -> str:
    """Return a duration in words: `42 s`, `3 min 20 s`, `5 h 12 min`."""
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    if s < 3600:
        return f"{s // 60} min {s % 60} s"
    return f"{s // 3600} h {s % 3600 // 60} min"
