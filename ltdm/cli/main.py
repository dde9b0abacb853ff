"""The command `ltdm`: each stage without Snakemake, and the commands beside them."""

import logging
import os
import sys
from typing import Any

import click

from ltdm import __version__
from ltdm.cli import bench, compare, external, inspect, stages
from ltdm.plumbing.errors import Interruption, LtdmError
from ltdm.plumbing.files import DISK_ERRORS
from ltdm.plumbing.host import replace_signs
from ltdm.plumbing.renamed import COMMAND_OPTIONS, COMMANDS


class Group(click.Group):
    """Commands that report an LtdmError in one sentence on stderr and exit with its status."""

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of these arguments; refuse names of 0.1.0 by the new ones."""
        if new := COMMANDS.get(args[0]):
            context.fail(f"`ltdm {args[0]}` is called `ltdm {new}` now")
        for old in (word.partition("=")[0] for word in args):
            if new := COMMAND_OPTIONS.get(old):
                context.fail(f"`{old}` is called `{new}` now")
        return super().resolve_command(context, args)

    def invoke(self, context: click.Context) -> Any:
        """Run the command; an LtdmError exits with 1, an Interruption with its STATUS."""
        replace_signs()
        try:
            return super().invoke(context)
        except LtdmError as error:
            click.echo(f"ltdm: {error}", err=True)
            sys.exit(Interruption.STATUS if isinstance(error, Interruption) else 1)
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise
            _discard_output()
            if error.filename:
                fault = f"cannot read or write {error.filename}: {error.strerror}"
            else:
                fault = f"cannot write the output: {DISK_ERRORS[error.errno]}"
            way_out = "fix that and run the same command again, which keeps finished results"
            click.echo(f"ltdm: {fault}; {way_out}", err=True)
            sys.exit(1)


def _discard_output() -> None:
    """Send what is left of the standard output nowhere: Python would fail on it when it exits."""
    if sys.__stdout__ and sys.stdout is sys.__stdout__:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Long-tailed diffusion models under one protocol.

    `snakemake` runs everything that is due; these commands run one stage at a time. They take
    config files, of which later ones override earlier ones.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")


for module in (stages, inspect, compare, external, bench):
    for command in module.COMMANDS:
        main.add_command(command)
