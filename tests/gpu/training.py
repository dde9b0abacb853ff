"""A real training by ltdm's commands: stopped by a signal, resumed, sampled and scored."""

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
from ltdm.plumbing.errors import Interruption
from tests.gpu.setting import FOLDER, Setting

CIFAR = "LTDM_CIFAR10"
"""Environment variable with the path of CIFAR-10: a folder of torchvision's, or an .npz."""


def run(setting: Setting) -> None:
    """Train on the digits, and on CIFAR-10 if available."""
    with setting.rows.attempt("digits"):
        train_and_score(setting, "digits-lt", setting.configs("training"))
    if (path := find_cifar()) and not setting.tiny:
        with setting.rows.attempt("CIFAR-10"):
            train_and_score(
                setting,
                "cifar10-lt",
                [*setting.configs("training"), *overlay_configs(setting, path)],
            )


def train_and_score(setting: Setting, dataset: str, files: list[Path]) -> None:
    """Run all commands from data to score."""
    configs, results = [str(file) for file in files], setting.work / "results"
    experiment = yaml.safe_load(files[0].read_text(encoding="utf-8"))["experiment"]
    layout = Layout(results / experiment)
    network = {"dataset": dataset, "run": "cbdm", "seed": 0}
    folder = layout.path("train.record", **network).parent
    ltdm("prepare", *configs, "--results", str(results))
    train_until_stopped(["train", *configs, "--results", str(results)], folder)
    for command in ("train", "sample", "features", "metrics"):
        ltdm(command, *configs, "--results", str(results))
    history = pd.read_csv(folder / "history.csv")
    first, last = history["loss"].iloc[0], history["loss"].iloc[-1]
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    samples = layout.path("sample.samples", **network, sample_set="main").parent
    scores = pd.read_csv(samples / "metrics/frechet.csv")
    shutil.copy(folder / "history.csv", setting.out / f"history-{dataset}.csv")
    shutil.copy(samples / "sample_sheet.png", setting.out / f"samples-{dataset}.png")
    setting.rows.add(
        dataset,
        updates=int(history["step"].iloc[-1]),
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


def train_until_stopped(arguments: list[str], folder: Path) -> None:
    """Train until a state is saved, and stop the training by SIGTERM.

    Raises:
        RuntimeError: The exit status is not that of a stopped training.
    """
    environment = {**os.environ, "LTDM_SAVE_SECONDS": "0"}
    training = subprocess.Popen([sys.executable, "-m", "ltdm", *arguments], env=environment)
    try:
        while training.poll() is None and not any(folder.glob("state/*/state.pt")):
            time.sleep(0.02)
        training.send_signal(signal.SIGTERM)
        status = training.wait()
    finally:
        training.kill()
    if status != Interruption.STATUS:
        raise RuntimeError(f"a training that was sent SIGTERM ended with status {status}")


def find_cifar() -> Path | None:
    """Return the path of CIFAR-10; None if it is not available."""
    variable = os.environ.get(CIFAR)
    path = Path(variable) if variable else FOLDER.parents[1] / "data"
    available = path.is_file() or (path / "cifar-10-batches-py").is_dir()
    return path if available else None


def overlay_configs(setting: Setting, path: Path) -> list[Path]:
    """Return config files that replace the digits by CIFAR-10."""
    kind = "npz" if path.is_file() else "root"
    config = setting.work / "cifar.yaml"
    config.write_text(yaml.safe_dump({"datasets": {"cifar10-lt": {kind: str(path.resolve())}}}))
    return [FOLDER / "training-cifar.yaml", config]
