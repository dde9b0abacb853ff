"""A real training by ltdm's own commands: stopped by a signal, gone on with, sampled and scored."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import yaml

from ltdm.cli.main import main
from ltdm.config.layout import Layout
from ltdm.plumbing.errors import Stopped
from tests.gpu.setting import HERE, Setting

CIFAR = "LTDM_CIFAR10"
"""Environment variable that says where CIFAR-10 lies: a folder of torchvision's, or an .npz."""


def run(setting: Setting) -> None:
    """Train on the digits; on CIFAR-10 too, where it is at hand."""
    with setting.rows.attempt("digits"):
        train(setting, "digits-lt", setting.configs("training"))
    if (at := cifar()) and not setting.tiny:
        with setting.rows.attempt("CIFAR-10"):
            train(setting, "cifar10-lt", [*setting.configs("training"), *over(setting, at)])


def train(setting: Setting, dataset: str, files: list[Path]) -> None:
    """Go from data to a score."""
    configs, results = [str(file) for file in files], setting.work / "results"
    experiment = yaml.safe_load(files[0].read_text(encoding="utf-8"))["experiment"]
    layout = Layout(results / experiment)
    network = {"dataset": dataset, "run": "cbdm", "seed": 0}
    folder = layout.path("train.record", **network).parent
    ltdm("prepare", *configs, "--results", str(results))
    stop(["train", *configs, "--results", str(results)], folder)
    for command in ("train", "sample", "features", "metrics"):
        ltdm(command, *configs, "--results", str(results))
    history = pd.read_csv(folder / "history.csv")
    first, last = history["loss"].iloc[0], history["loss"].iloc[-1]
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    samples = layout.path("sample.samples", **network, sample_set="main").parent
    scores = pd.read_csv(samples / "metrics/frechet.csv")
    shutil.copy(folder / "history.csv", setting.out / f"history-{dataset}.csv")
    shutil.copy(samples / "sample_sheet.png", setting.out / f"samples-{dataset}.png")
    setting.rows.say(
        dataset,
        updates=int(history["update"].iloc[-1]),
        where=record["where"],
        resumed_at=record["resumed_at"],
        first_loss=float(first),
        last_loss=float(last),
        frechet=float(scores["value"].iloc[0]),
        bad=not (last < 0.8 * first and record["resumed_at"] > 0),
    )


def ltdm(*arguments: str) -> None:
    """Run one of ltdm's commands in this process."""
    main.main([*arguments], standalone_mode=False)


def stop(arguments: list[str], folder: Path) -> None:
    """Train until a state is saved, and stop it by SIGTERM.

    Raises:
        RuntimeError: It did not stop as it should.
    """
    always = {**os.environ, "LTDM_SAVE_SECONDS": "0"}
    training = subprocess.Popen([sys.executable, "-m", "ltdm", *arguments], env=always)
    try:
        while training.poll() is None and not any(folder.glob("state/*/state.pt")):
            time.sleep(0.02)
        training.send_signal(signal.SIGTERM)
        status = training.wait()
    finally:
        training.kill()
    if status != Stopped.STATUS:
        raise RuntimeError(f"a training that was sent SIGTERM ended with status {status}")


def cifar() -> Path | None:
    """Return where CIFAR-10 lies, if it is there."""
    named = os.environ.get(CIFAR)
    at = Path(named) if named else HERE.parents[1] / "data"
    there = at.is_file() or (at / "cifar-10-batches-py").is_dir()
    return at if there else None


def over(setting: Setting, at: Path) -> list[Path]:
    """Return the config files that lay CIFAR-10 over the digits."""
    kind = "npz" if at.is_file() else "root"
    where = setting.work / "cifar.yaml"
    where.write_text(yaml.safe_dump({"datasets": {"cifar10-lt": {kind: str(at.resolve())}}}))
    return [HERE / "training-cifar.yaml", where]
