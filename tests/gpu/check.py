"""The GPU check, in minutes: `make gpu-check`, or `python -m tests.gpu.check OUT`.

Each step is a process with a time limit, and the next one runs whatever its outcome. All processes
are forked from one that has imported their modules and never uses a GPU. After each step the check
rewrites results.json, which `ltdm plan --bench` also reads, and summary.txt.
"""

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from tests.gpu import results
from tests.gpu.step import run_logged
from tests.gpu.steps import (
    ALL_STEPS,
    COMPILE_STEPS,
    CORRECTNESS_STEPS,
    CUT_OFF,
    MACHINE,
    NO_GPU,
    TIMED_STEPS,
    TINY_COMPILE_STEPS,
    Step,
)

MIN_SECONDS = 8.0
"""Seconds that a step needs; it does not start with less time left."""
KILL_DELAY = 3.0
"""Seconds between SIGTERM and SIGKILL."""
END_SIGNALS = signal.SIGTERM, signal.SIGINT
PRELOAD = "torch._dynamo", "ltdm.cli.main"
"""Modules imported once for all steps, in addition to the steps' own."""


class Interrupted(Exception):
    """The check received a signal to end."""


class RunningStep:
    """A running step: a process that starts with all modules imported."""

    def __init__(self, check: "Check", step: Step, seconds: float):
        self.step, self.started, self.seconds = step, time.monotonic(), seconds
        log = check.out / "logs" / f"{step.name}.txt"
        arguments = (log, step.name, check.out, check.work, check.tiny)
        self.process = check.processes.Process(target=run_logged, args=arguments)
        self.process.start()

    def wait(self) -> dict[str, object]:
        """Wait until the step ends or its time is over; return its outcome."""
        self.process.join(max(self.started + self.seconds - time.monotonic(), 0.0))
        status = self.process.exitcode
        late = CUT_OFF if self.step.spare else "too long"
        end = {None: late, 0: "ok"}.get(status, f"failed ({status})")
        self.stop()
        return {
            "step": self.step.name,
            "end": end,
            "limit": round(self.seconds),
            "seconds": round(time.monotonic() - self.started, 1),
        }

    def stop(self) -> None:
        """End the step's process and all that it started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid or 0, number)
            except ProcessLookupError:  # all have ended, or it has only just started
                break
            self.process.join(KILL_DELAY)
        self.process.kill()


class Check:
    """All steps, within a number of seconds.

    Attributes:
        outcomes: Outcomes of the steps so far.
        work: A temporary folder for files that are no results.
    """

    def __init__(self, out: Path, tiny: bool, seconds: float):
        (out / "logs").mkdir(parents=True, exist_ok=True)
        self.out, self.tiny = out.resolve(), tiny
        self.work = Path(tempfile.mkdtemp(prefix="gpu-check-"))
        self.started, self.seconds = time.monotonic(), seconds
        self.outcomes: list[dict[str, object]] = []
        self.running: list[RunningStep] = []
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload([*PRELOAD, *{s.module for s in ALL_STEPS.values()}])
        for cache in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "MPLCONFIGDIR"):
            os.environ[cache] = str(self.work / cache.lower())
        for name in ("rows.jsonl", "profile.txt"):  # those of an earlier check
            (self.out / name).unlink(missing_ok=True)

    def run(self) -> None:
        """Compile in parallel with untimed steps; then run timed steps one after the other."""
        self.finish(self.start(MACHINE))
        if self.outcomes[-1]["end"] == f"failed ({NO_GPU})":
            return
        for step in COMPILE_STEPS:
            if not self.tiny or step.name in TINY_COMPILE_STEPS:
                self.start(step)
        compiling = list(self.running)
        for step in CORRECTNESS_STEPS:
            self.finish(self.start(step))
        for running in compiling:
            self.finish(running)
        for step in TIMED_STEPS:
            self.finish(self.start(step))

    def start(self, step: Step) -> RunningStep | None:
        """Start a step if there is time for it; return None if not."""
        left = self.started + self.seconds - time.monotonic()
        if left < MIN_SECONDS:
            end = CUT_OFF if step.spare else "no time"
            self.record({"step": step.name, "end": end, "limit": 0, "seconds": 0.0})
            return None
        self.running.append(RunningStep(self, step, min(step.seconds, left)))
        return self.running[-1]

    def finish(self, step: RunningStep | None) -> None:
        """Wait for a step and record its outcome."""
        if step:
            self.record(step.wait())
            self.running.remove(step)

    def record(self, outcome: dict[str, object]) -> None:
        """Add a step's outcome, report it and write all results."""
        self.outcomes.append(outcome)
        end = f"{outcome['step']}: {outcome['end']}, {outcome['seconds']} s"
        print(f"{time.monotonic() - self.started:6.1f} s  {end}", flush=True)
        self.write_results()

    def write_results(self) -> None:
        """Write results.json and summary.txt."""
        about = {"tiny": self.tiny, "seconds": round(time.monotonic() - self.started, 1)}
        results.write_results(self.out, self.work, about, self.outcomes)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for each in END_SIGNALS:  # later ones are ignored: ending takes little time
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(signal.Signals(number).name)


def main() -> None:
    """Run the check; the exit status is 1 if a step failed, or there was no time for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="Folder of the results.")
    parser.add_argument("--seconds", type=float, default=480.0, help="Time limit (default: 480).")
    parser.add_argument(
        "--tiny", action="store_true", help="Test the check itself, on a CPU as well."
    )
    arguments = parser.parse_args()
    for number in END_SIGNALS:
        signal.signal(number, _interrupt)
    try:
        check = Check(arguments.out, arguments.tiny, arguments.seconds)
    except OSError as error:
        parser.error(f"cannot write {arguments.out} ({error.strerror}); name another folder")
    try:
        check.run()
    except Interrupted as why:
        check.outcomes.append(
            {"step": "check", "end": f"failed ({why})", "limit": 0, "seconds": 0.0}
        )
    finally:
        for step in check.running:
            step.stop()
        check.write_results()
        shutil.rmtree(check.work, ignore_errors=True)
    print((check.out / "summary.txt").read_text(encoding="utf-8"))
    sys.exit(any(outcome["end"] not in ("ok", CUT_OFF) for outcome in check.outcomes))


if __name__ == "__main__":
    main()
