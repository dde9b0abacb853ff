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
from tests.gpu.step import logged
from tests.gpu.steps import ABSENT, COMPILING, CORRECT, CUT, EVERY, MACHINE, TIMED, TINY, Step

LEAST = 8.0
"""Seconds that a step needs; with less left it is not begun."""
PATIENCE = 3.0
"""Seconds between SIGTERM and SIGKILL."""
ENDS = signal.SIGTERM, signal.SIGINT
PRELOADED = "torch._dynamo", "ltdm.cli.main"
"""What is imported once for all steps, beside their own modules."""


class Ended(Exception):
    """The check itself was told to end."""


class Running:
    """A step that has begun, as a process that had all imports when it began."""

    def __init__(self, check: "Check", step: Step, seconds: float):
        self.step, self.begun, self.seconds = step, time.monotonic(), seconds
        log = check.out / "logs" / f"{step.name}.txt"
        arguments = (log, step.name, check.out, check.work, check.tiny)
        self.process = check.processes.Process(target=logged, args=arguments)
        self.process.start()

    def wait(self) -> dict[str, object]:
        """Wait until it has ended or its time is over; return what became of it."""
        self.process.join(max(self.begun + self.seconds - time.monotonic(), 0.0))
        status = self.process.exitcode
        late = CUT if self.step.spare else "too long"
        end = {None: late, 0: "ok"}.get(status, f"failed ({status})")
        self.stop()
        return {
            "step": self.step.name,
            "end": end,
            "limit": round(self.seconds),
            "seconds": round(time.monotonic() - self.begun, 1),
        }

    def stop(self) -> None:
        """End it with all that it began."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid or 0, number)
            except ProcessLookupError:  # nothing of it is left, or it has just begun
                break
            self.process.join(PATIENCE)
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
        self.begun, self.seconds = time.monotonic(), seconds
        self.ends: list[dict[str, object]] = []
        self.running: list[Running] = []
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload([*PRELOADED, *{s.module for s in EVERY.values()}])
        for cache in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "MPLCONFIGDIR"):
            os.environ[cache] = str(self.work / cache.lower())
        for name in ("rows.jsonl", "profile.txt"):  # those of an earlier check
            (self.out / name).unlink(missing_ok=True)

    def run(self) -> None:
        """Compile beside what is not timed, then time, one step after the other."""
        self.complete(self.begin(MACHINE))
        if self.ends[-1]["end"] == f"failed ({ABSENT})":
            return
        for step in COMPILING:
            if not self.tiny or step.name in TINY:
                self.begin(step)
        compiling = list(self.running)
        for step in CORRECT:
            self.complete(self.begin(step))
        for one in compiling:
            self.complete(one)
        for step in TIMED:
            self.complete(self.begin(step))

    def begin(self, step: Step) -> Running | None:
        """Start a step, if there is time for it."""
        left = self.begun + self.seconds - time.monotonic()
        if left < LEAST:
            end = CUT if step.spare else "no time"
            self.end({"step": step.name, "end": end, "limit": 0, "seconds": 0.0})
            return None
        self.running.append(Running(self, step, min(step.seconds, left)))
        return self.running[-1]

    def complete(self, one: Running | None) -> None:
        """Wait for a step, and write what is known now."""
        if one:
            self.end(one.wait())
            self.running.remove(one)

    def end(self, what: dict[str, object]) -> None:
        """Keep what became of a step and write all results."""
        self.ends.append(what)
        told = time.monotonic() - self.begun
        print(f"{told:6.1f} s  {what['step']}: {what['end']}, {what['seconds']} s", flush=True)
        self.write()

    def write(self) -> None:
        """Write results.json and summary.txt."""
        about = {"tiny": self.tiny, "seconds": round(time.monotonic() - self.begun, 1)}
        results.write(self.out, self.work, about, self.ends)


def _told_to_end(number: int, frame: FrameType | None) -> None:
    for each in ENDS:  # once is enough: what follows is short
        signal.signal(each, signal.SIG_IGN)
    raise Ended(signal.Signals(number).name)


def main() -> None:
    """Run the check; the status is 1 where a step failed, or there was no time for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="Folder of the results.")
    parser.add_argument("--seconds", type=float, default=480.0, help="In all (default: 480).")
    parser.add_argument("--tiny", action="store_true", help="Try the check itself, on a CPU too.")
    given = parser.parse_args()
    for number in ENDS:
        signal.signal(number, _told_to_end)
    try:
        check = Check(given.out, given.tiny, given.seconds)
    except OSError as error:
        parser.error(f"cannot write {given.out} ({error.strerror}); name another folder")
    try:
        check.run()
    except Ended as why:
        check.ends.append({"step": "check", "end": f"failed ({why})", "limit": 0, "seconds": 0.0})
    finally:
        for one in check.running:
            one.stop()
        check.write()
        shutil.rmtree(check.work, ignore_errors=True)
    print((check.out / "summary.txt").read_text(encoding="utf-8"))
    sys.exit(any(end["end"] not in ("ok", CUT) for end in check.ends))


if __name__ == "__main__":
    main()
