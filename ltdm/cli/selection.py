"""Options that commands share, and the experiment that they select."""

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ltdm.config.merge import read_config
from ltdm.config.places import place_of
from ltdm.pipeline.old_results import check_results_version
from ltdm.plumbing.compiling import set_compile_cache
from ltdm.plumbing.environment import DEVICE as DEVICE_VARIABLE
from ltdm.plumbing.environment import check_environment
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.options import suggest

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


def integer_option(name: str, low: int, default: int, help: str) -> Decorator:
    """Return an option that takes an integer of at least `low`."""
    kind = click.IntRange(low)
    return click.option(name, type=kind, default=default, show_default=True, help=help)


def experiment_options(*axes: str) -> Decorator:
    """Give a command the config argument, and an option per axis that restricts the grid."""
    options = [click.argument("config", nargs=-1, required=True, type=PATH), RESULTS, DEVICE]
    for axis in axes:
        name, kind = f"--{axis.replace('_', '-')}", int if axis == "seed" else str
        noun = "data set" if axis == "dataset" else axis.replace("_", " ")
        help = f"Restrict to this {noun}; may be repeated."
        options.append(click.option(name, type=kind, multiple=True, help=help))

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def load_experiment(
    config: tuple[Path, ...], results: Path, device: str | None, **entries: tuple[Any, ...]
) -> "Experiment":
    """Load the experiment that a command's options select, and set the device.

    `config` are files, of which later ones override earlier ones; `entries` restrict axes of the
    grid, an empty tuple to nothing.

    Raises:
        LtdmError: The config is invalid, the grid has no such entry, the device is none, or the
            results are of ltdm 0.1.
    """
    from ltdm.config.experiment import Experiment  # imports PyTorch, which not all commands need

    set_device(device)
    restricted = {axis: list(names) for axis, names in entries.items() if names}
    merged = read_config(list(config))
    try:
        experiment = Experiment({**merged, **restricted}, results)
    except OptionError as error:
        if error.path[0] in restricted:
            raise LtdmError(f"--{error.path[0].replace('_', '-')}: {error.message}") from error
        raise LtdmError(f"{place_of(error.path, list(config))}: {error}") from error
    check_results_version(experiment.layout.root)
    set_compile_cache(experiment.layout.compile_cache)
    return experiment


def set_device(device: str | None) -> None:
    """Set the device of this process to that of a command's option, if there is one.

    Raises:
        LtdmError: It is no device's name, or another variable of the environment is bad.
    """
    if device:
        os.environ[DEVICE_VARIABLE] = device
    check_environment()


def select_sweeps(experiment: "Experiment", names: Collection[str]) -> "dict[str, Sweep]":
    """Return the theory lab's sweeps by name: those of `names`, or all if it is empty.

    Raises:
        LtdmError: The config has no sweeps, or none of a name.
    """
    sweeps = experiment.sweeps
    if not sweeps:
        raise LtdmError("the config has no sweeps under `theory`; config/theory.yaml has some")
    for name in names:
        if name not in sweeps:
            raise LtdmError(f"{name!r} is not under `theory`; {suggest(name, sweeps)}")
    return {name: sweeps[name] for name in names or sweeps}


def refuse_overwriting(source: Path, output: Path) -> None:
    """Raise LtdmError if a command would write its output over the file that it reads."""
    if source.exists() and output.exists() and source.samefile(output):
        raise LtdmError(f"{output} is the input itself; name another file to write")
