"""Questions about a config and about results: validity, cost, state, integrity."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ltdm.cli.selection import PATH, experiment_options, load_experiment
from ltdm.config.layout import MANIFEST, RULES
from ltdm.pipeline.old_results import check_results_version
from ltdm.stages import manifest

if TYPE_CHECKING:
    from ltdm.config.experiment import Experiment

UNEVEN_RATIO = 1.5  # `check` warns if a reference's largest class is this many times its smallest


@click.command()
@experiment_options("dataset", "run", "seed", "sample_set")
def check(**options: Any) -> None:
    """Check config files, and print what they request."""
    experiment = load_experiment(**options)
    _print_datasets(experiment)
    if experiment.evaluate.probe:
        _warn_of_probe(experiment)
    networks, sets = (len([*RULES[rule].jobs(experiment)]) for rule in ("train", "sample"))
    released = sum(run.train.released for run in experiment.runs.values())
    imports = released * len(experiment.grid["seed"])
    imported = f" and {imports} to import" if imports else ""
    click.echo(
        f"{experiment.name}: config OK, {networks - imports} networks to train{imported},"
        f" {sets} sample sets to generate."
    )


def _print_datasets(experiment: "Experiment") -> None:
    """Print the size of each data set, and a warning if its reference is imbalanced."""
    for name, data in experiment.datasets.items():
        counts, reference_counts = data.class_counts, data.info.class_counts
        click.echo(
            f"{name}: {sum(counts)} training images in {len(counts)} classes,"
            f" {max(counts)} to {min(counts)} per class"
        )
        if max(reference_counts) > UNEVEN_RATIO * min(reference_counts):
            click.echo(
                f"{name}: the reference is uneven, {max(reference_counts)} to"
                f" {min(reference_counts)} images per class; read class-wise scores, since a score"
                " over several classes compares it with balanced samples"
            )


def _warn_of_probe(experiment: "Experiment") -> None:
    """Print a warning for each conditional run that was never trained without labels."""
    for (name, run), options in experiment.runs.items():
        unconditional = options.train.released or options.train.label_dropout
        if not unconditional and options.label_role(experiment.datasets[name]) == "input":
            click.echo(
                f"{run} on {name}: was never trained without labels (train.label_dropout is 0), but"
                " the probe runs it without labels; its features may be worse for that"
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
def status(results: Path) -> None:
    """Print the state of each network of a results folder, such as results/demo."""
    from ltdm.pipeline import status

    click.echo(status.format_status(results))


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


COMMANDS = check, plan, status, accept, verify
