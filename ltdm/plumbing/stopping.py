"""When a job must end before its work does: a signal says so, or its time is nearly up.

Work that can go on later asks `Stop.why` now and then, saves its state, and raises `Stopped`.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.slurm import seconds_left

SHARE, LEAST, MOST = 0.05, 5.0, 120.0
"""A job keeps this share of its time, within these seconds, to end in: Slurm is not punctual."""
WORTH = 15.0  # seconds of work that make another job of the same length worth its start


class Stop:
    """A request to stop, which signals and the clock make; `left` is the job's time in seconds."""

    def __init__(self, left: float | None = None):
        self.told: str | None = None  # which signal came, in words
        self.begun = time.monotonic()
        self.deadline: float | None = None  # when to begin to end, by the monotonic clock
        if left is not None:
            self.deadline = self.begun + left - min(max(SHARE * left, LEAST), MOST)

    def why(self, saving: float = 0.0) -> str | None:
        """Return why the work must end now, if it must; the last save took `saving` seconds."""
        if self.told:
            return self.told
        near = self.deadline is not None and time.monotonic() + 2 * saving >= self.deadline
        return "the job's time is nearly up" if near else None

    def worth_another(self) -> bool:
        """Whether the clock alone ends this job, and another one as long would help."""
        return self.told is None and time.monotonic() - self.begun >= WORTH

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Take a signal; the next one of its kind ends the process at once."""
        self.told = f"it was sent {signal.Signals(number).name}"
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def listening() -> Iterator[Stop]:
    """Give a `Stop` that hears SIGTERM and Ctrl-C, and knows how long this job may run."""
    stop, before = Stop(allowed()), {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, stop.on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def allowed() -> float | None:
    """Return the seconds that this job may run: $LTDM_TIME_LIMIT_SECONDS, or what Slurm leaves."""
    text = os.environ.get("LTDM_TIME_LIMIT_SECONDS")
    if not text:
        return seconds_left()
    try:
        return float(text)
    except ValueError:
        message = f"LTDM_TIME_LIMIT_SECONDS must be a number of seconds, not {text!r}"
        raise LtdmError(message) from None
