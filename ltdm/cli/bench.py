"""Measurements: what training, scoring and the theory lab cost, how far images differ."""

from pathlib import Path
from types import ModuleType
from typing import Any

import click

from ltdm.cli.selection import DEVICE, PATH, on_grid, run_on, select, sweeps, whole
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import write_json
from ltdm.plumbing.provenance import commit, versions

JSON = click.option("--json", "path", type=PATH, help="Write the figures here too.")


@click.command()
@on_grid("run", "sample_set")
@whole("--rounds", 1, 5, "Timed rounds after one warm-up.")
@whole("--steps", 1, 10, "Training steps per round.")
@JSON
def bench(rounds: int, steps: int, path: Path | None, **given: Any) -> None:
    """Measure what each run costs, in turns, as ratios to the first."""
    from ltdm.tools import bench_runs

    experiment = select(**given)
    dataset, runs = experiment.grid["dataset"][0], experiment.grid["run"]
    trained = [r for r in runs if not experiment.runs[dataset, r].train.released]
    if not trained:
        raise LtdmError("no run of these is trained, so there is nothing to measure; name others")
    _measure(path, bench_runs, experiment, trained, rounds, steps)


@click.command("bench-scores")
@whole("--images", 1000, 50_000, "Of each set.")
@whole("--length", 2, 2048, "Of a feature vector.")
@whole("--classes", 1, 100, "Class-wise distances.")
@whole("--inception", 8, 256, "Images that the Inception network is timed on.")
@JSON
@DEVICE
def bench_scores(path: Path | None, device: str | None, **sizes: int) -> None:
    """Measure what scoring costs, beside SciPy's square root in the same run."""
    from ltdm.tools import bench_scores

    run_on(device)
    _measure(path, bench_scores, **sizes)


@click.command("bench-theory")
@on_grid()
@click.option("--sweep", "name", help="Which one; by default that of the most games.")
@whole("--updates", 1, 20_000, "So many are made one by one, to tell what all would take.")
@JSON
def bench_theory(name: str | None, updates: int, path: Path | None, **given: Any) -> None:
    """Measure a seed of a sweep of the theory lab, beside its games one at a time."""
    from ltdm.tools import bench_theory

    found = sweeps(select(**given), [name] if name else [])
    largest = max(found, key=lambda one: found[one].num_games)
    _measure(path, bench_theory, largest, found[largest], updates)


def _measure(path: Path | None, tool: ModuleType, *given: Any, **sizes: int) -> None:
    """Run a measurement, print its figures, and write them where `--json` says."""
    result = {**tool.run(*given, **sizes), "versions": versions(), "commit": commit()}
    click.echo(tool.to_text(result))
    if path:
        write_json(path, result)


@click.command("image-distances")
@on_grid("dataset", "run", "seed", "sample_set")
def image_distances(**given: Any) -> None:
    """Say how far the images of each sample set are from those of the first."""
    from ltdm.tools import image_distances

    rows = image_distances.run(select(**given))
    click.echo(rows.to_string(index=False, float_format="{:.4g}".format))
