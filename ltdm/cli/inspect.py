"""What a config asks for, what it will cost, and how results are."""

from pathlib import Path
from typing import Any

import click

from ltdm.cli.selection import on_grid, select

PATH = click.Path(path_type=Path)
UNEVEN = 1.5  # times the smallest class: from there on `check` says so


@click.command()
@on_grid("dataset", "run", "seed", "sample_set")
def check(**given: Any) -> None:
    """Check config files and say what they ask for."""
    selection = select(**given)
    experiment = selection.experiment
    for name in selection.grid["dataset"]:
        counts = experiment.datasets[name].class_counts
        click.echo(
            f"{name}: {sum(counts)} training images in {len(counts)} classes,"
            f" {max(counts)} to {min(counts)} a class"
        )
        held = experiment.datasets[name].census.sizes
        if max(held) > UNEVEN * min(held):
            click.echo(
                f"{name}: the reference is uneven, {max(held)} to {min(held)} a class; read numbers"
                " by class there, since over several classes they compare it with even samples"
            )
    for (name, run), made in experiment.runs.items() if experiment.evaluate.probe else ():
        told = made.label_use(experiment.datasets[name]) == "input" and not made.train.released
        if told and not made.train.label_dropout:
            click.echo(
                f"{run} on {name}: was never trained without labels (train.label_dropout is 0), and"
                " that is how the probe asks it; its features may be worse for that"
            )
    taken = [
        experiment.runs[keys["dataset"], keys["run"]].train.released
        for keys in selection.keys("train")
    ]
    imported = f" and {sum(taken)} to import" if any(taken) else ""
    sets = len(selection.keys("sample"))
    click.echo(
        f"{experiment.name}: {len(taken) - sum(taken)} networks to train{imported},"
        f" {sets} sets to sample. All well."
    )


@click.command()
@on_grid("dataset", "run", "seed", "sample_set")
@click.option("--bench", type=PATH, help="Figures of `ltdm bench --json`.")
@click.option("--tflops", type=float, help="Operations a second that the GPU reaches, in 10^12.")
def plan(bench: Path | None, tflops: float | None, **given: Any) -> None:
    """Say what an experiment will cost: jobs, evaluations, images, disk, GPU-hours."""
    from ltdm.pipeline import cost as planning

    experiment = select(**given).experiment
    click.echo(planning.text(experiment, planning.speeds(experiment, bench, tflops)))


@click.command()
@click.argument("results", type=PATH)
def status(results: Path) -> None:
    """Say how far each network of a results folder, such as results/demo, is."""
    from ltdm.pipeline import status as reading

    click.echo(reading.text(results))


@click.command()
@click.argument("results", type=PATH)
@click.option("--because", required=True, help="Why today's code computes the same.")
def accept(results: Path, because: str) -> None:
    """Let RESULTS that other code made stand: nothing of them is run again or refused for that.

    It lists what differs, and writes a record, which `manifest.json` names; deleting the record
    takes it back.
    """
    from ltdm.pipeline.accept import accept as vouch

    click.echo(vouch(results, because))


@click.command()
@click.argument("results", type=PATH)
def verify(results: Path) -> None:
    """Check a results folder, such as results/demo, against its manifest."""
    from ltdm.config.layout import MANIFEST
    from ltdm.stages import manifest

    files, size = manifest.verify(results / MANIFEST)
    click.echo(f"{results}: {files} files, {size / 1e9:.3g} GB, all as its manifest says.")
