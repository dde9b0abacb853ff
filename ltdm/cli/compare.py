"""`ltdm compare`: several results folders in one table and on one page."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltdm.cli.selection import PATH
from ltdm.config.layout import PAGE

if TYPE_CHECKING:
    from ltdm.comparison.protocols import Difference

MAX_LINES = 10  # of code and of config; the page has them all
MAX_WIDTH = 60  # characters of a value


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="[NAME=]RESULTS...")
@click.option("--output", type=PATH, help="Folder to write (default: results/compare-NAME-NAME).")
@click.option(
    "--across-protocols",
    is_flag=True,
    help="Take values of different protocols together: in bold, in differences, on one front.",
)
def compare(results: tuple[str, ...], output: Path | None, across_protocols: bool) -> None:
    """Compare results folders: what differs between them, one main table, and one page.

    Runs are called NAME/RUN; NAME is the folder's name. Nothing is trained, sampled or scored.
    """
    from ltdm.comparison.writing import write_comparison

    comparison, folder = write_comparison(results, output, across_protocols)
    names = [folder.name for folder in comparison.folders]
    parts = {
        "Protocol": (comparison.protocol, len(comparison.protocol)),
        "Code": (comparison.code, MAX_LINES),
        "Config": (comparison.config, MAX_LINES),
    }
    for title, (differences, limit) in parts.items():
        _print_differences(title, differences, names, limit)
    if comparison.note:
        click.echo(comparison.note)
    click.echo(f"wrote {folder / PAGE}")


def _print_differences(
    title: str, differences: list["Difference"], names: list[str], limit: int
) -> None:
    """Print what differs, each with its value in each folder, and how many are left out."""
    if not differences:
        click.echo(f"{title}: nothing differs.")
        return
    click.echo(f"{title}:")
    for key, values in differences[:limit]:
        short = (v if len(v) <= MAX_WIDTH else f"{v[:MAX_WIDTH]}..." for v in values)
        shown = (f"{name} {value or '-'}" for name, value in zip(names, short, strict=True))
        click.echo(f"  {key}: {'; '.join(shown)}")
    if len(differences) > limit:
        click.echo(f"  and {len(differences) - limit} more on the page")


COMMANDS = (compare,)
