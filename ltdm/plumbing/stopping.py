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
from ltdm.plumbing.slurm import remaining_seconds

GRACE_SHARE, GRACE_MIN, GRACE_MAX = 0.05, 5.0, 120.0
"""A job keeps this share of its time, within these seconds, to end in: Slurm is not punctual."""
MIN_WORK = 15.0  # seconds of work that make another job of the same length worth its start


class StopRequest:
    """A request to stop, which signals and the clock make; `left` is the job's time in seconds."""

    def __init__(self, seconds_left: float | None = None):
        self.signal_reason: str | None = None  # which signal came, in words
        self.begun = time.monotonic()
        self.deadline: float | None = None  # when to begin to end, by the monotonic clock
        if seconds_left is not None:
            self.deadline = (
                self.begun
                + seconds_left
                - min(max(GRACE_SHARE * seconds_left, GRACE_MIN), GRACE_MAX)
            )

    def reason(self, saving: float = 0.0) -> str | None:
        """Return why the work must end now, if it must; the last save took `saving` seconds."""
        if self.signal_reason:
            return self.signal_reason
        near = self.deadline is not None and time.monotonic() + 2 * saving >= self.deadline
        return "the job's time is nearly up" if near else None

    def should_requeue(self) -> bool:
        """Whether the clock alone ends this job, and another one as long would help."""
        return self.signal_reason is None and time.monotonic() - self.begun >= MIN_WORK

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Take a signal; the next one of its kind ends the process at once."""
        self.signal_reason = f"it was sent {signal.Signals(number).name}"
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def catch_signals() -> Iterator[StopRequest]:
    """Give a `Stop` that hears SIGTERM and Ctrl-C, and knows how long this job may run."""
    stop, before = StopRequest(time_limit()), {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, stop.on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def time_limit() -> float | None:
    """Return the seconds that this job may run: $LTDM_TIME_LIMIT_SECONDS, or what Slurm leaves."""
    text = os.environ.get("LTDM_TIME_LIMIT_SECONDS")
    if not text:
        return remaining_seconds()
    try:
        return float(text)
    except ValueError:
        message = f"LTDM_TIME_LIMIT_SECONDS must be a number of seconds, not {text!r}"
        raise LtdmError(message) from None
