"""Questions about a config and about results: validity, cost, state, integrity."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ltdm.cli.selection import PATH, experiment_options, load_experiment
from ltdm.config.layout import MANIFEST, PAGE, RULES
from ltdm.pipeline.old_results import check_results_version
from ltdm.plumbing.errors import count_of
from ltdm.stages import manifest

if TYPE_CHECKING:
    from ltdm.config.experiment import Experiment


@click.command()
@experiment_options("dataset", "run", "seed", "sample_set")
def check(**options: Any) -> None:
    """Check config files, and print what they request, with warnings of what may go wrong."""
    from ltdm.pipeline.warnings import disk_warnings, warnings

    experiment = load_experiment(**options)
    _print_datasets(experiment)
    for warning in (*warnings(experiment), *disk_warnings(experiment)):
        click.echo(f"warning: {warning}")
    networks, sets = (len([*RULES[rule].jobs(experiment.plan)]) for rule in ("train", "sample"))
    released = sum(run.train.released for run in experiment.runs.values())
    imports = released * len(experiment.grid["seed"])
    imported = f" and {imports} to import" if imports else ""
    click.echo(
        f"{experiment.name}: config OK, {count_of(networks - imports, 'network')} to train"
        f"{imported}, {count_of(sets, 'sample set')} to generate."
    )


def _print_datasets(experiment: "Experiment") -> None:
    """Print the size of each data set."""
    for name, data in experiment.datasets.items():
        counts = data.class_counts
        click.echo(
            f"{name}: {sum(counts)} training images in {count_of(len(counts), 'class', 'classes')},"
            f" {max(counts)} to {min(counts)} per class"
        )


@click.command()
@experiment_options("dataset", "run", "seed", "sample_set")
@click.option("--bench", type=PATH, help="Measurements of `ltdm bench runs --json`.")
@click.option("--tflops", type=float, help="Throughput of the GPU in practice, TFLOP/s.")
def plan(bench: Path | None, tflops: float | None, **options: Any) -> None:
    """Estimate an experiment's cost: jobs, network evaluations, images, disk, GPU-hours."""
    from ltdm.pipeline import cost

    experiment = load_experiment(**options)
    click.echo(cost.format_plan(experiment, cost.load_speeds(experiment, bench, tflops)))


@click.command()
@click.argument("results", type=PATH)
@click.option("--watch", is_flag=True, help="Show it until no network is left to train or score.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    help="Seconds between two looks of --watch.",
)
def status(results: Path, watch: bool, every: float) -> None:
    """Print the state of each network of a results folder, such as results/demo.

    --watch updates the table in place; where the output is a file, it prints what has changed.
    """
    from ltdm.cli.watch import watch as show_until_done
    from ltdm.pipeline.status import format_status

    if watch:
        show_until_done(results, every)
    else:
        click.echo(format_status(results))


@click.command()
@click.argument("results", type=PATH)
def page(results: Path) -> None:
    """Write the page of a results folder, such as results/demo: its index.html."""
    from ltdm.page.document import write_page

    check_results_version(results)
    output = results / PAGE
    write_page(results, output)
    click.echo(f"wrote {output}")


@click.command()
@click.argument("results", type=PATH)
@click.option("--because", required=True, help="Why the current code computes the same.")
def accept(results: Path, because: str) -> None:
    """Accept RESULTS of other code as current: they are neither refused nor computed again.

    Lists the differences and writes a record, which `manifest.json` names. Delete the record to
    undo this.
    """
    from ltdm.pipeline.acceptance import accept

    click.echo(accept(results, because))


@click.command()
@click.argument("results", type=PATH)
def verify(results: Path) -> None:
    """Check a results folder, such as results/demo, against its manifest."""
    check_results_version(results)
    files, size = manifest.verify(results / MANIFEST)
    click.echo(f"{results}: {files} files, {size / 1e9:.3g} GB, all as its manifest says.")


COMMANDS = check, plan, status, page, accept, verify
