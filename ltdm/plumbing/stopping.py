"""Stopping a job before its work is done: after a signal, or when its time limit is near.

Work that can be resumed polls `StopRequest.reason`, saves its state, and raises `Interruption`.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ltdm.plumbing.environment import TIME_LIMIT, seconds
from ltdm.plumbing.slurm import remaining_seconds

GRACE_SHARE, GRACE_MIN, GRACE_MAX = 0.05, 5.0, 120.0
"""A job keeps this share of its time to end in, within these seconds: Slurm is not punctual."""
MIN_WORK = 15.0  # seconds of work that make another job of the same length worth starting


class StopRequest:
    """A request to stop, made by a signal or by the clock when `seconds_left` are nearly over."""

    def __init__(self, seconds_left: float | None = None):
        self.signal_reason: str | None = None  # the signal that came, in words
        self.begun = time.monotonic()
        self.deadline: float | None = None  # the monotonic time at which the job should stop
        if seconds_left is not None:
            grace = min(max(GRACE_SHARE * seconds_left, GRACE_MIN), GRACE_MAX)
            self.deadline = self.begun + seconds_left - grace

    def reason(self, saving: float = 0.0) -> str | None:
        """Return why the work must stop now, else None; `saving` is the last save's seconds."""
        if self.signal_reason:
            return self.signal_reason
        near = self.deadline is not None and time.monotonic() + 2 * saving >= self.deadline
        return "the job's time is nearly up" if near else None

    def should_requeue(self) -> bool:
        """Whether only the clock stops this job, and another job as long would make progress."""
        return self.signal_reason is None and time.monotonic() - self.begun >= MIN_WORK

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal; the next one of its kind ends the process at once."""
        self.signal_reason = f"it was sent {signal.Signals(number).name}"
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def catch_signals() -> Iterator[StopRequest]:
    """Yield a `StopRequest` for SIGTERM, Ctrl-C and the job's time limit.

    Signals are only caught in the main thread; their handlers are restored afterwards.
    """
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
    """Return the seconds that this job may still run: $LTDM_TIME_LIMIT_SECONDS, or Slurm's limit.

    None means no limit.

    Raises:
        LtdmError: The variable is no number.
    """
    chosen = seconds(TIME_LIMIT)
    return remaining_seconds() if chosen is None else chosen
