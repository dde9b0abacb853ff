"""The page of the command line, from the commands' own help; `make docs` writes it."""

from pathlib import Path

import click

from ltdm.cli.main import main

PAGE = "docs/cli.md"
HEAD = """# Command line

<!-- Written by `make docs` from the commands in ltdm/cli; do not edit. -->

`snakemake` runs everything that is due. `ltdm` runs single stages, and reports on
configs and results.
"""


def write(root: Path) -> None:
    """Write the page into the checkout at `root`."""
    (root / PAGE).write_text(text(), encoding="utf-8")


def text() -> str:
    """Return the page: the help of `ltdm` and of each of its commands."""
    return HEAD + "".join(_sections(main, "ltdm", None))


def _sections(command: click.Command, name: str, parent: click.Context | None) -> list[str]:
    """Return the sections of a command and of its subcommands."""
    settings = {**command.context_settings, "terminal_width": 80}
    context = click.Context(command, parent, name.split()[-1], **settings)
    sections = [f"\n## `{name}`\n\n```\n{command.get_help(context)}\n```\n"]
    if isinstance(command, click.Group):
        for subcommand_name in command.list_commands(context):
            subcommand = command.get_command(context, subcommand_name)
            assert subcommand
            sections += _sections(subcommand, f"{name} {subcommand_name}", context)
    return sections
