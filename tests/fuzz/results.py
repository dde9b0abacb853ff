"""Results of ltdm with one file spoilt, read by the stages and commands that use it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

from matplotlib import pyplot as plt

from ltdm.cli.stages import run_jobs
from ltdm.config.artefacts import as_list, inputs, jobs
from ltdm.config.experiment import Experiment
from ltdm.config.layout import RULES
from ltdm.config.merge import read_config
from ltdm.config.requests import request
from ltdm.pipeline import snapshot
from ltdm.pipeline.records import check_records
from ltdm.plumbing.errors import Interruption
from ltdm.training.state import State
from tests.fuzz._mutations import Rng, ltdm, pick
from tests.fuzz._spoil import spoil

CUT = 30
CONFIG = Path(__file__).with_name("results.yaml")
TEMPLATE: list[Path] = []
"""The folder with the finished results, once they are there."""
PICTURES = (".png", ".pdf", ".md", ".tex", ".log", ".tmp")
"""Files that nothing reads."""
STOPPED = {"dataset": "digits", "run": "late", "seed": 0}
"""The network with the state of an interrupted training beside it."""


def set_up(folder: Path) -> None:
    """Make finished results and an interrupted training in a folder, by every stage."""
    experiment = Experiment(read_config([CONFIG]), folder)
    codes: dict[str, list[str]] = {}
    for rule, keys in jobs(experiment.plan):
        codes.setdefault(rule, []).append(request(experiment, rule, keys)["code"])
    grid = experiment.grid
    snapshot.save(
        experiment.layout.root / "logs",
        {
            "config": read_config([CONFIG]),
            "site": {},
            "cluster": False,
            "codes": codes,
            "networks": [[*run, seed] for run in experiment.runs for seed in grid["seed"]],
            "sets_of_run": experiment.sets_of_run,
            "metrics": [metric.label for metric in experiment.evaluate.metrics],
        },
    )
    os.environ.pop(snapshot.ENV_VAR)
    run_jobs(experiment, "prepare")
    with interrupted_after_a_save(), suppress(Interruption):
        run_jobs(experiment, "train", again=False)
    state = next(experiment.layout.root.glob("runs/*/*/*/state"))
    state.rename(folder / "state")
    run_jobs(experiment, *(rule for rule in RULES if not RULES[rule].pictures_only))
    ltdm("tables", CONFIG, "--results", folder)
    (folder / "state").rename(state)
    TEMPLATE[:] = [folder]


@contextmanager
def interrupted_after_a_save() -> Iterator[None]:
    """Let trainings end after their first save."""
    save = State.save

    def save_and_stop(state: State, content: dict[str, Any]) -> None:
        save(state, content)
        raise Interruption("stopped after the first save")

    with (
        mock.patch.object(State, "save", save_and_stop),
        mock.patch.dict(os.environ, {"LTDM_SAVE_SECONDS": "0"}),
    ):
        yield


def attempt(rng: Rng, folder: Path) -> str:
    """Spoil one file, and run a stage that reads it, or a command that looks at all results."""
    plt.close("all")  # of stages that ended with an error, as their processes would have done
    shutil.copytree(TEMPLATE[0], folder, dirs_exist_ok=True, symlinks=True)
    experiment = Experiment(read_config([CONFIG]), folder)
    root = experiment.layout.root
    files = sorted(f for f in root.rglob("*") if f.is_file() and f.suffix not in PICTURES)
    victim = pick(rng, files)
    done = f"{victim.relative_to(root)}: {spoil(rng, victim, files)}"
    jobs_of = jobs(experiment.plan)
    readers = {rule for rule, keys in jobs_of if reads(experiment, rule, keys, victim)}
    command = pick(rng, (*sorted(readers) * 3, "train", "whole", "score"))
    done += f"; {command}"
    if command == "score":
        data, samples = root / "data/digits", root / "runs/digits/ddpm/seed-0/main/samples.npz"
        options = ("--metric", "frechet", "--cache-dir", folder / "scored")
        ltdm("score", samples, "--reference", data, *options)
    elif command == "whole":
        experiment = Experiment(read_config([CONFIG]), folder)
        for task in rng.permutation(4)[:2]:
            look_at(experiment, int(task))
    else:
        if command == "train":  # it resumes the stopped one
            with suppress(OSError):  # it may be spoilt into a folder
                experiment.layout.path("train.model", **STOPPED).unlink()
        run_jobs(experiment, command, again=command != "train")
    return done


def reads(experiment: Experiment, rule: str, keys: Any, victim: Path) -> bool:
    """Whether a job reads a file."""
    return any(victim in as_list(files) for files in inputs(experiment.plan, rule, keys).values())


def look_at(experiment: Experiment, task: int) -> None:
    """Run a command that looks at all results."""
    root = experiment.layout.root
    if task == 0:
        ltdm("status", root)
    elif task == 1:
        ltdm("verify", root)
    elif task == 2:
        check_records(experiment.plan, lambda file: None)
    else:
        ltdm("accept", root, "--because", "nothing changed")
