"""Several trainings on one GPU at a time, each in its own process."""

import json
import subprocess
import sys
import time
from typing import Any

from tests.gpu.setting import VARIANTS, Setting
from tests.gpu.steps import FASTEST
from tests.gpu.timing import synchronize

MAX_TRAININGS = 3


def run(setting: Setting) -> None:
    """Set up all trainings, then time one, two, and three at once, for some seconds each."""
    number, seconds = (2, 0.2) if setting.tiny else (MAX_TRAININGS, 4.0)
    variant = "eager" if setting.tiny else FASTEST
    command = [
        sys.executable,
        "-m",
        "tests.gpu.step",
        "concurrent-training",
        str(setting.out),
        "--work",
        str(setting.work),
        *["--tiny"] * setting.tiny,
    ]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    trainings = [subprocess.Popen(command, **pipes) for _ in range(number)]
    try:
        send(trainings, variant)
        for active in range(1, number + 1):
            rates = send(trainings[:active], str(seconds))
            what = f"{active} trainings at once" if active > 1 else "1 training alone"
            setting.rows.add(
                what,
                img_per_s=sum(rates),
                each=[round(r, 1) for r in rates],
                variant=variant,
                **setting.needs,
            )
    finally:
        for training in trainings:
            training.kill()
            training.wait()


def send(trainings: list[Any], line: str) -> list[float]:
    """Send a line to trainings at once; return the number that each returns."""
    for training in trainings:
        training.stdin.write(line + "\n")
        training.stdin.flush()
    return [receive(training) for training in trainings]


def receive(training: Any) -> float:
    """Return the next number from a training.

    Raises:
        RuntimeError: The training has ended.
    """
    for line in training.stdout:
        if line.startswith("{"):
            return float(json.loads(line)["img_per_s"])
    raise RuntimeError(f"a training ended with status {training.wait()}")


def serve_training(setting: Setting) -> None:
    """Run a training: set up the variant of the first line, then train the seconds of each line."""
    learner = setting.subject("ddpm").learner(**VARIANTS[sys.stdin.readline().strip()])
    for _ in range(1 if setting.tiny else 6):
        learner.step()
    synchronize(setting.device)
    print(json.dumps({"img_per_s": 0}), flush=True)
    for line in sys.stdin:
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < float(line):
            learner.step()
            done += 1
            if done % 10 == 0:  # else the host would run far ahead
                synchronize(setting.device)
        synchronize(setting.device)
        rate = done * learner.batches.size / (time.perf_counter() - started)
        print(json.dumps({"img_per_s": rate}), flush=True)
