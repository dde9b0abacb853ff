"""Measurements: what training, scoring and the theory lab cost, how far images differ."""

from pathlib import Path
from typing import Any

import click

from ltdm.cli.selection import DEVICE, on_grid, run_on, select
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import write_json

PATH = click.Path(path_type=Path)


@click.command()
@on_grid("run", "sample_set")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Turns each.")
@click.option("--updates", type=click.IntRange(1), default=10, show_default=True, help="A turn.")
@click.option("--json", "path", type=PATH, help="Write the figures here too.")
def bench(rounds: int, updates: int, path: Path | None, **given: Any) -> None:
    """Measure what each run costs, in turns, as ratios to the first."""
    from ltdm.tools import bench_runs as measure

    selection = select(**given)
    dataset, runs = selection.grid["dataset"][0], selection.grid["run"]
    trained = [r for r in runs if not selection.experiment.runs[dataset, r].train.released]
    if not trained:
        raise LtdmError("no run of these is trained, so there is nothing to measure; name others")
    result = measure.run(selection.experiment, trained, rounds, updates)
    click.echo(measure.to_text(result))
    if path:
        write_json(path, result)


@click.command("bench-scores")
@click.option(
    "--images", type=click.IntRange(1000), default=50_000, show_default=True, help="Of each set."
)
@click.option(
    "--length", type=click.IntRange(2), default=2048, show_default=True, help="Of a feature vector."
)
@click.option(
    "--classes",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Class-wise distances.",
)
@click.option(
    "--inception",
    type=click.IntRange(8),
    default=256,
    show_default=True,
    help="Images that the Inception network is timed on.",
)
@click.option("--json", "path", type=PATH, help="Write the figures here too.")
@DEVICE
def bench_scores(
    images: int, length: int, classes: int, inception: int, path: Path | None, device: str | None
) -> None:
    """Measure what scoring costs, beside SciPy's square root in the same run."""
    from ltdm.tools import bench_scores as measure

    run_on(device)
    result = measure.run(images, length, classes, inception)
    click.echo(measure.to_text(result))
    if path:
        write_json(path, result)


@click.command("bench-theory")
@on_grid()
@click.option("--sweep", "name", help="Which one; by default that of the most games.")
@click.option(
    "--updates",
    type=click.IntRange(1),
    default=20_000,
    show_default=True,
    help="So many are made one by one, to tell what all would take.",
)
@click.option("--json", "path", type=PATH, help="Write the figures here too.")
def bench_theory(name: str | None, updates: int, path: Path | None, **given: Any) -> None:
    """Measure a seed of a sweep of the theory lab, beside its games one at a time."""
    from ltdm.tools import bench_theory as measure

    sweeps = select(**given).sweeps((name,) if name else ())
    largest = max(sweeps, key=lambda one: sweeps[one].games)
    result = measure.run(largest, sweeps[largest], updates)
    click.echo(measure.to_text(result))
    if path:
        write_json(path, result)


@click.command("image-distances")
@on_grid("dataset", "run", "seed", "sample_set")
def image_distances(**given: Any) -> None:
    """Say how far the images of each sample set are from those of the first."""
    from ltdm.tools import image_distances as measure

    rows = measure.run(select(**given).experiment)
    click.echo(rows.to_string(index=False, float_format="{:.4g}".format))
