"""The part of an experiment's grid that a command works on."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ltdm.config.merge import read
from ltdm.plumbing.compiling import keep_compiled
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.options import near

if TYPE_CHECKING:
    from ltdm.config.steps import Keys
    from ltdm.theory.options import Sweep

Command = Callable[..., None]
DEVICE = click.option(
    "--device", help="auto, cpu, cuda or cuda:N (default: $LTDM_DEVICE, else auto)."
)


class Selection:
    """An experiment, narrowed to the part of its grid that a command works on.

    Args:
        config: Config files, later ones over earlier ones.
        results: Folder of all results.
        chosen: Entries of the grid's axes; none: all.
    """

    def __init__(
        self,
        config: tuple[Path, ...],
        results: Path,
        **chosen: tuple[Any, ...],
    ):
        from ltdm.config.experiment import Experiment  # with PyTorch, which not all commands need

        only = {axis: list(entries) for axis, entries in chosen.items() if entries}
        try:
            self.experiment = Experiment({**read(list(config)), **only}, results)
        except LtdmError as error:
            raise LtdmError(f"{', '.join(map(str, config))}: {error}") from error
        self.grid = self.experiment.grid

    def keys(self, rule: str) -> list["Keys"]:
        """Return the wildcards of a rule's jobs."""
        from ltdm.config.layout import STEPS

        return list(STEPS[rule].jobs(self.experiment))

    def is_finished(self, rule: str, keys: "Keys") -> bool:
        """Whether a job's files are there, and are what the config asks for."""
        from ltdm.pipeline.records import is_finished

        return is_finished(self.experiment, rule, keys)

    def refuse_other_networks(self, rule: str, keys: "Keys") -> None:
        """Refuse networks that a job would read, but the config does not ask for.

        Raises:
            LtdmError: There is one.
        """
        from ltdm.config.artefacts import sources

        for source in sources(self.experiment, rule, keys).values():
            if isinstance(source, tuple) and source[0] == "train.model":
                model = self.experiment.layout.path("train.model", **source[1])
                if model.exists() and not self.is_finished("train", source[1]):
                    raise LtdmError(
                        f"{model} was trained with other options, data or code than the config"
                        " asks for; run `ltdm train` with it first"
                    )

    def text(self, artefact: str) -> str:
        """Return a table as Markdown."""
        file = self.experiment.layout.path(artefact).with_suffix(".md")
        return file.read_text(encoding="utf-8")

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
            "--results",
            type=click.Path(path_type=Path),
            default=Path("results"),
            show_default=True,
            help="Folder of all results.",
        )(wrapped)
        return click.argument("config", nargs=-1, required=True, type=click.Path(path_type=Path))(
            wrapped
        )

    return decorate


def select(config: tuple[Path, ...], results: Path, device: str | None, **chosen: Any) -> Selection:
    """Return the experiment that a command's options ask for."""
    run_on(device)
    selection = Selection(config, results, **chosen)
    keep_compiled(selection.experiment.layout.compiled)
    return selection


def run_on(device: str | None) -> None:
    """Run on the device that a command's option names."""
    if device:
        os.environ["LTDM_DEVICE"] = device
