"""The part of an experiment's grid that a command works on."""

import os
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ltdm.config.merge import read
from ltdm.plumbing.compiling import keep_compiled
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.options import near

if TYPE_CHECKING:
    from ltdm.theory.options import Sweep

Command = Callable[..., None]
DEVICE = click.option(
    "--device", help="auto, cpu, cuda or cuda:N (default: $LTDM_DEVICE, else auto)."
)


class Selection:
    """An experiment, narrowed to the part of its grid that a command works on."""

    def __init__(self, config: tuple[Path, ...], results: Path, **chosen: tuple[Any, ...]):
        from ltdm.config.experiment import Experiment

        only = {axis: list(entries) for axis, entries in chosen.items() if entries}
        try:
            self.experiment = Experiment({**read(list(config)), **only}, results)
        except LtdmError as error:
            raise LtdmError(f"{', '.join(map(str, config))}: {error}") from error
        self.layout, self.grid = self.experiment.layout, self.experiment.grid

    def networks(self) -> Iterator[tuple[str, str, int]]:
        """Yield data set, run and seed of each network, those that others start from first."""
        for (dataset, run), seed in product(self.experiment.runs, self.grid["seed"]):
            yield dataset, run, seed

    def finished(self, dataset: str, run: str, seed: int) -> bool:
        """Whether a network is there and is the one that the config asks for."""
        from ltdm.stages import released, train

        made, folder = self.experiment.runs[dataset, run], self.layout.run(dataset, run, seed)
        which = made.spec(), seed, self.layout.data(dataset) / "train.npz", folder
        if made.train.released:
            return released.finished(*which)
        return train.finished(*which, self.experiment.init(dataset, run, seed))

    def network(self, dataset: str, run: str, seed: int) -> Path:
        """Return a network's file.

        Raises:
            LtdmError: It is another one than the config asks for.
        """
        model = self.layout.model(dataset, run, seed)
        if model.exists() and not self.finished(dataset, run, seed):
            raise LtdmError(
                f"{model} was trained with other options, data or code than the config asks for;"
                " run `ltdm train` with it first"
            )
        return model

    def sweeps(self, names: tuple[str, ...]) -> "dict[str, Sweep]":
        """Return the sweeps of the theory lab by name, only some if names are given.

        Raises:
            LtdmError: There are none, or none of a name.
        """
        known = self.experiment.sweeps
        if not known:
            raise LtdmError("the config has no sweeps under `theory`; config/theory.yaml has some")
        for name in names:
            if name not in known:
                raise LtdmError(f"{name!r} is not under `theory`; {near(name, known)}")
        return {name: known[name] for name in names or known}

    def samples(self) -> Iterator[tuple[str, str, int, str]]:
        """Yield data set, run, seed and sample set of each sample set."""
        return product(
            self.grid["dataset"], self.grid["run"], self.grid["seed"], self.grid["sample_set"]
        )


def on_grid(*axes: str) -> Callable[[Command], Command]:
    """Give a command the config argument and the options that narrow the grid."""

    def decorate(command: Command) -> Command:
        wrapped: Any = command
        for axis in reversed(axes):
            kind = int if axis == "seed" else str
            option = f"--{axis.replace('_', '-')}"
            wrapped = click.option(option, axis, type=kind, multiple=True, help="Only this one.")(
                wrapped
            )
        wrapped = DEVICE(wrapped)
        wrapped = click.option(
            "--results", type=click.Path(path_type=Path), default=Path("results"),
            show_default=True, help="Folder of all results.",
        )(wrapped)  # fmt: skip
        return click.argument("config", nargs=-1, required=True, type=click.Path(path_type=Path))(
            wrapped
        )

    return decorate


def select(config: tuple[Path, ...], results: Path, device: str | None, **axes: Any) -> Selection:
    """Return the experiment that a command's options ask for."""
    run_on(device)
    chosen = Selection(config, results, **axes)
    keep_compiled(chosen.layout.compiled)
    return chosen


def run_on(device: str | None) -> None:
    """Run on the device that a command's option names."""
    if device:
        os.environ["LTDM_DEVICE"] = device
