"""The options that commands share, and the part of an experiment's grid that they work on."""

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ltdm.config.merge import read
from ltdm.plumbing.compiling import keep_compiled
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.options import near

if TYPE_CHECKING:
    from ltdm.config.experiment import Experiment
    from ltdm.theory.options import Sweep

Command = Callable[..., None]
Decorator = Callable[[Command], Command]

PATH = click.Path(path_type=Path)
DEVICE = click.option(
    "--device", help="auto, cpu, cuda or cuda:N (default: $LTDM_DEVICE, else auto)."
)
RESULTS = click.option(
    "--results", type=PATH, default="results", show_default=True, help="Folder of all results."
)


def whole(option: str, low: int, default: int, help: str) -> Decorator:
    """Return an option that takes a whole number, at least `low`."""
    kind = click.IntRange(low)
    return click.option(option, type=kind, default=default, show_default=True, help=help)


def on_grid(*axes: str) -> Decorator:
    """Give a command the config argument and the options that narrow the grid."""
    options = [click.argument("config", nargs=-1, required=True, type=PATH), RESULTS, DEVICE]
    for axis in axes:
        name, kind = f"--{axis.replace('_', '-')}", int if axis == "seed" else str
        options.append(click.option(name, type=kind, multiple=True, help="Only this one."))

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def select(
    config: tuple[Path, ...], results: Path, device: str | None, **chosen: tuple[Any, ...]
) -> "Experiment":
    """Return the experiment that a command's options ask for.

    `config` is files, later ones over earlier ones; `chosen` are entries of the grid's axes, where
    none means all.
    """
    from ltdm.config.experiment import Experiment  # with PyTorch, which not all commands need

    run_on(device)
    only = {axis: list(entries) for axis, entries in chosen.items() if entries}
    try:
        experiment = Experiment({**read(list(config)), **only}, results)
    except LtdmError as error:
        raise LtdmError(f"{', '.join(map(str, config))}: {error}") from error
    keep_compiled(experiment.layout.compile_cache)
    return experiment


def run_on(device: str | None) -> None:
    """Run on the device that a command's option names."""
    if device:
        os.environ["LTDM_DEVICE"] = device


def sweeps(experiment: "Experiment", names: Collection[str]) -> "dict[str, Sweep]":
    """Return the sweeps of the theory lab by name, only some if names are given.

    Raises:
        LtdmError: There are none, or none of a name.
    """
    known = experiment.sweeps
    if not known:
        raise LtdmError("the config has no sweeps under `theory`; config/theory.yaml has some")
    for name in names:
        if name not in known:
            raise LtdmError(f"{name!r} is not under `theory`; {near(name, known)}")
    return {name: known[name] for name in names or known}
