"""What a config asks for, what it will cost, and how results are."""

from pathlib import Path
from typing import Any

import click

from ltdm.cli.selection import PATH, on_grid, select
from ltdm.config.layout import MANIFEST, RULES
from ltdm.pipeline.old_results import check_results_version
from ltdm.stages import manifest

UNEVEN = 1.5  # times the smallest class: from there on `check` says so


@click.command()
@on_grid("dataset", "run", "seed", "sample_set")
def check(**given: Any) -> None:
    """Check config files and say what they ask for."""
    experiment = select(**given)
    for name, data in experiment.datasets.items():
        counts, held = data.class_counts, data.census.sizes
        click.echo(
            f"{name}: {sum(counts)} training images in {len(counts)} classes,"
            f" {max(counts)} to {min(counts)} a class"
        )
        if max(held) > UNEVEN * min(held):
            click.echo(
                f"{name}: the reference is uneven, {max(held)} to {min(held)} a class; read numbers"
                " by class there, since over several classes they compare it with even samples"
            )
    for (name, run), made in experiment.runs.items() if experiment.evaluate.probe else ():
        hidden = made.train.released or made.train.label_dropout
        if not hidden and made.label_use(experiment.datasets[name]) == "input":
            click.echo(
                f"{run} on {name}: was never trained without labels (train.label_dropout is 0), and"
                " that is how the probe asks it; its features may be worse for that"
            )
    networks, sets = (len([*RULES[rule].jobs(experiment)]) for rule in ("train", "sample"))
    released = sum(run.train.released for run in experiment.runs.values())
    taken = released * len(experiment.grid["seed"])
    imported = f" and {taken} to import" if taken else ""
    click.echo(
        f"{experiment.name}: {networks - taken} networks to train{imported},"
        f" {sets} sets to sample. All well."
    )


@click.command()
@on_grid("dataset", "run", "seed", "sample_set")
@click.option("--bench", type=PATH, help="Figures of `ltdm bench --json`.")
@click.option("--tflops", type=float, help="Operations a second that the GPU reaches, in 10^12.")
def plan(bench: Path | None, tflops: float | None, **given: Any) -> None:
    """Say what an experiment will cost: jobs, evaluations, images, disk, GPU-hours."""
    from ltdm.pipeline import cost

    experiment = select(**given)
    click.echo(cost.format_plan(experiment, cost.load_speeds(experiment, bench, tflops)))


@click.command()
@click.argument("results", type=PATH)
def status(results: Path) -> None:
    """Say how far each network of a results folder, such as results/demo, is."""
    from ltdm.pipeline import status

    click.echo(status.format_status(results))


@click.command()
@click.argument("results", type=PATH)
@click.option("--because", required=True, help="Why today's code computes the same.")
def accept(results: Path, because: str) -> None:
    """Let RESULTS that other code made stand: nothing of them is run again or refused for that.

    It lists what differs, and writes a record, which `manifest.json` names; deleting the record
    takes it back.
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
