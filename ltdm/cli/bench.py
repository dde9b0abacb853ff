"""Measurements: the cost of training, scoring and the theory lab, and distances of images."""

from pathlib import Path
from types import ModuleType
from typing import Any

import click

from ltdm.cli.selection import (
    DEVICE,
    PATH,
    experiment_options,
    integer_option,
    load_experiment,
    refuse_overwriting,
    select_sweeps,
    set_device,
)
from ltdm.config.merge import read_config
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import write_json
from ltdm.plumbing.provenance import commit, versions

JSON = click.option("--json", "path", type=PATH, help="Also write the measurements to this file.")


@click.group()
def bench() -> None:
    """Measure the cost of runs (`ltdm bench runs CONFIG`), of scoring, and of other parts."""


@bench.command("runs")
@experiment_options("run", "sample_set")
@integer_option("--rounds", 1, 5, "Timed rounds after one warm-up.")
@integer_option("--steps", 1, 10, "Training steps per round.")
@JSON
def bench_runs(rounds: int, steps: int, path: Path | None, **options: Any) -> None:
    """Measure the speed and memory of each run, alternating between runs.

    Ratios are to the first run. `ltdm plan --bench` reads the file of --json.
    """
    from ltdm.tools import bench_runs

    if path:
        for config in options["config"]:
            refuse_overwriting(config, path)
    experiment = load_experiment(**options)
    dataset, runs = experiment.grid["dataset"][0], experiment.grid["run"]
    trained = [r for r in runs if not experiment.runs[dataset, r].train.released]
    if not trained:
        raise LtdmError(
            "no selected run is trained, so there is nothing to measure; select another run"
        )
    _measure(path, bench_runs, experiment, trained, rounds, steps)


@bench.command("scores")
@integer_option("--num-images", 1000, 50_000, "Images per set: reference and generated.")
@integer_option("--feature-dim", 2, 2048, "Dimensions of a feature vector.")
@integer_option("--num-classes", 1, 100, "Classes of the class-wise Frechet distances.")
@integer_option("--inception-images", 8, 256, "Images to time the Inception network on.")
@JSON
@DEVICE
def bench_scores(path: Path | None, device: str | None, **sizes: int) -> None:
    """Measure the cost of scoring, compared with SciPy's square root and pytorch-fid."""
    from ltdm.tools import bench_scores

    set_device(device)
    _measure(path, bench_scores, **sizes)


@bench.command("theory")
@experiment_options()
@click.option("--sweep", "name", help="The sweep to measure; by default the one with most games.")
@integer_option("--steps", 1, 20_000, "Training steps made one by one, to extrapolate from.")
@JSON
def bench_theory(name: str | None, steps: int, path: Path | None, **options: Any) -> None:
    """Measure one seed of a theory lab sweep, as a batch and game by game."""
    from ltdm.tools import bench_theory

    sweeps = select_sweeps(load_experiment(**options), [name] if name else [])
    largest = max(sweeps, key=lambda sweep: sweeps[sweep].num_games)
    _measure(path, bench_theory, largest, sweeps[largest], steps)


@bench.command("workflow")
@click.argument("config", nargs=-1, required=True, type=PATH)
@click.option(
    "--jobs",
    multiple=True,
    type=click.IntRange(10),
    default=(100, 1000, 10_000),
    show_default=True,
    help="Number of finished jobs; may be repeated.",
)
@JSON
def bench_workflow(config: tuple[Path, ...], jobs: tuple[int, ...], path: Path | None) -> None:
    """Measure the workflow itself: dry runs of finished results, and the start of each job."""
    from ltdm.tools import bench_workflow

    load_experiment(config, Path("results"), None)  # which says what is wrong with it
    _measure(path, bench_workflow, read_config(list(config)), [*jobs])


def _measure(path: Path | None, tool: ModuleType, *arguments: Any, **sizes: int) -> None:
    """Run a benchmark, print its measurements, and write them to `path` if given."""
    result = {**tool.run(*arguments, **sizes), "versions": versions(), "commit": commit()}
    click.echo(tool.format_table(result))
    if path:
        write_json(path, result)


@click.command("image-distances")
@experiment_options("dataset", "run", "seed", "sample_set")
def image_distances(**options: Any) -> None:
    """Print how far each sample set's images are from those of the first sample set."""
    from ltdm.tools import image_distances

    rows = image_distances.run(load_experiment(**options))
    click.echo(rows.to_string(index=False, float_format="{:.4g}".format))


COMMANDS = bench, image_distances
