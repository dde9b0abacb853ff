"""The command `ltdm`: each stage by hand, without Snakemake, and the commands beside them."""

import logging
import sys
from typing import Any

import click

from ltdm import __version__
from ltdm.cli import bench, external, inspect, stages
from ltdm.plumbing.errors import Interruption, LtdmError


class Group(click.Group):
    """Commands whose LtdmError ends with one sentence on stderr, and a status that says so."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(context)
        except LtdmError as error:
            click.echo(f"ltdm: {error}", err=True)
            sys.exit(Interruption.STATUS if isinstance(error, Interruption) else 1)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Long-tailed diffusion models under one protocol.

    `snakemake` runs everything that is due; these commands run one stage at a time. They take
    config files, later ones over earlier ones.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")


for module in (stages, inspect, external, bench):
    for command in vars(module).values():
        if isinstance(command, click.Command):
            main.add_command(command)
