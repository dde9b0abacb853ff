"""The check that any hour on a GPU can run: `make gpu-check`, or `python -m tests.gpu.check OUT`.

Each step is a process with a limit of its own, and the next one runs whatever became of it. All are
forked from one that has imported what they need and never asks for a GPU. Results are written anew
after each: results.json, which `ltdm plan --bench` reads too, and summary.txt.
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
"""Seconds that a step needs; with less left it is not started."""
KILL_DELAY = 3.0
"""Seconds between SIGTERM and SIGKILL."""
END_SIGNALS = signal.SIGTERM, signal.SIGINT
PRELOAD = "torch._dynamo", "ltdm.cli.main"
"""What is imported once for all steps, beside their own modules."""


class Interrupted(Exception):
    """The check itself was told to end."""


class RunningStep:
    """A step that has started, as a process that had all imports when it began."""

    def __init__(self, check: "Check", step: Step, seconds: float):
        self.step, self.started, self.seconds = step, time.monotonic(), seconds
        log = check.out / "logs" / f"{step.name}.txt"
        arguments = (log, step.name, check.out, check.work, check.tiny)
        self.process = check.processes.Process(target=run_logged, args=arguments)
        self.process.start()

    def wait(self) -> dict[str, object]:
        """Wait until it has ended or its time is over; return what became of it."""
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
        """End it with all that it began."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid or 0, number)
            except ProcessLookupError:  # nothing of it is left, or it has just started
                break
            self.process.join(KILL_DELAY)
        self.process.kill()


class Check:
    """All steps, within some seconds.

    Attributes:
        ends: What became of the steps so far.
        work: A folder for what is no result.
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
        """Compile beside what is not timed, then time, one step after the other."""
        self.finish(self.start(MACHINE))
        if self.outcomes[-1]["end"] == f"failed ({NO_GPU})":
            return
        for step in COMPILE_STEPS:
            if not self.tiny or step.name in TINY_COMPILE_STEPS:
                self.start(step)
        compiling = list(self.running)
        for step in CORRECTNESS_STEPS:
            self.finish(self.start(step))
        for one in compiling:
            self.finish(one)
        for step in TIMED_STEPS:
            self.finish(self.start(step))

    def start(self, step: Step) -> RunningStep | None:
        """Start a step, if there is time for it."""
        left = self.started + self.seconds - time.monotonic()
        if left < MIN_SECONDS:
            end = CUT_OFF if step.spare else "no time"
            self.record({"step": step.name, "end": end, "limit": 0, "seconds": 0.0})
            return None
        self.running.append(RunningStep(self, step, min(step.seconds, left)))
        return self.running[-1]

    def finish(self, one: RunningStep | None) -> None:
        """Wait for a step, and write what is known now."""
        if one:
            self.record(one.wait())
            self.running.remove(one)

    def record(self, what: dict[str, object]) -> None:
        """Keep what became of a step and write all results."""
        self.outcomes.append(what)
        told = time.monotonic() - self.started
        print(f"{told:6.1f} s  {what['step']}: {what['end']}, {what['seconds']} s", flush=True)
        self.write_results()

    def write_results(self) -> None:
        """Write results.json and summary.txt."""
        about = {"tiny": self.tiny, "seconds": round(time.monotonic() - self.started, 1)}
        results.write_results(self.out, self.work, about, self.outcomes)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for each in END_SIGNALS:  # once is enough: what follows is short
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(signal.Signals(number).name)


def main() -> None:
    """Run the check; the status is 1 where a step failed, or there was no time for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="Folder of the results.")
    parser.add_argument("--seconds", type=float, default=480.0, help="In all (default: 480).")
    parser.add_argument("--tiny", action="store_true", help="Try the check itself, on a CPU too.")
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
        for one in check.running:
            one.stop()
        check.write_results()
        shutil.rmtree(check.work, ignore_errors=True)
    print((check.out / "summary.txt").read_text(encoding="utf-8"))
    sys.exit(any(end["end"] not in ("ok", CUT_OFF) for end in check.outcomes))


if __name__ == "__main__":
    main()
