"""The command `ltdm`: each stage by hand, without Snakemake, and checks and measurements."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import click

from ltdm import __version__
from ltdm.config import Experiment
from ltdm.errors import LtdmError
from ltdm.files import write_json
from ltdm.merging import read
from ltdm.options import changed, places

UNEVEN = 1.5  # times the smallest class: from there on `check` says so
Command = Callable[..., None]


class Group(click.Group):
    """Commands whose LtdmError ends with one sentence on stderr and exit status 1."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(context)
        except LtdmError as error:
            click.echo(f"ltdm: {error}", err=True)
            sys.exit(1)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Long-tailed diffusion models under one protocol.

    `snakemake` runs everything that is due; these commands run one stage at a time. They take
    config files, later ones over earlier ones.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")


class Selection:
    """An experiment, narrowed to the part of its grid that a command works on."""

    def __init__(self, config: tuple[Path, ...], results: Path, **chosen: tuple[Any, ...]):
        only = {axis: list(entries) for axis, entries in chosen.items() if entries}
        try:
            self.experiment = Experiment({**read(list(config)), **only}, results)
        except LtdmError as error:
            raise LtdmError(f"{', '.join(map(str, config))}: {error}") from error
        self.layout, self.grid = self.experiment.layout, self.experiment.grid

    def networks(self) -> Iterator[tuple[str, str, int]]:
        """Yield data set, run and seed of each network, those that others start from first."""
        for (dataset, run), seed in product(self.experiment.runs, self.grid["seed"]):
            yield dataset, run, seed

    def samples(self) -> Iterator[tuple[str, str, int, str]]:
        """Yield data set, run, seed and sample set of each sample set."""
        return product(
            self.grid["dataset"], self.grid["run"], self.grid["seed"], self.grid["sample_set"]
        )


def on_grid(*axes: str) -> Callable[[Command], Command]:
    """Give a command the config argument and the options that narrow the grid."""

    def decorate(command: Command) -> Command:
        wrapped: Any = command
        for axis in reversed(axes):
            kind = int if axis == "seed" else str
            option = f"--{axis.replace('_', '-')}"
            wrapped = click.option(option, axis, type=kind, multiple=True, help="Only this one.")(
                wrapped
            )
        wrapped = click.option(
            "--device", help="auto, cpu, cuda or cuda:N (default: $LTDM_DEVICE, else auto)."
        )(wrapped)
        wrapped = click.option(
            "--results", type=click.Path(path_type=Path), default=Path("results"),
            show_default=True, help="Folder of all results.",
        )(wrapped)  # fmt: skip
        return click.argument("config", nargs=-1, required=True, type=click.Path(path_type=Path))(
            wrapped
        )

    return decorate


def _select(config: tuple[Path, ...], results: Path, device: str | None, **axes: Any) -> Selection:
    if device:
        os.environ["LTDM_DEVICE"] = device
    return Selection(config, results, **axes)


@main.command()
@on_grid("dataset")
def prepare(**given: Any) -> None:
    """Build the long-tailed data sets."""
    from ltdm.stages import prepare as stage

    selection = _select(**given)
    for name in selection.grid["dataset"]:
        data, folder = selection.experiment.datasets[name], selection.layout.data(name)
        stage.run(
            data.spec(), places(data.source.options), train=folder / "train.npz",
            reference=folder / "reference.npz", table=folder / "counts.csv",
            record=folder / "data.json",
        )  # fmt: skip
        click.echo(f"{folder}: {sum(data.class_counts)} training images")


@main.command()
@on_grid("dataset", "run", "seed")
def train(**given: Any) -> None:
    """Train networks; a finished one is left alone, an interrupted one goes on."""
    from ltdm.stages import train as stage

    selection = _select(**given)
    for dataset, run, seed in selection.networks():
        folder = selection.layout.run(dataset, run, seed)
        spec = selection.experiment.runs[dataset, run].spec()
        data = selection.layout.data(dataset) / "train.npz"
        init = selection.experiment.init(dataset, run, seed)
        if stage.finished(spec, seed, data, folder, init):
            click.echo(f"{folder}: already trained")
            continue
        stage.run(
            spec, seed, data=data, model=folder / "model.safetensors",
            history=folder / "history.csv", record=folder / "run.json", init=init,
        )  # fmt: skip
        click.echo(f"{folder}: trained")


@main.command()
@on_grid("dataset", "run", "seed", "sample_set")
def sample(**given: Any) -> None:
    """Generate sample sets."""
    from ltdm.stages import grid
    from ltdm.stages import sample as stage
    from ltdm.stages import train as train_stage

    selection = _select(**given)
    for dataset, run, seed, name in selection.samples():
        folder = selection.layout.samples(dataset, run, seed, name)
        part, network = selection.experiment.runs[dataset, run], folder.parent
        model, samples = network / "model.safetensors", folder / "samples.npz"
        data = selection.layout.data(dataset) / "train.npz"
        init = selection.experiment.init(dataset, run, seed)
        if model.exists() and not train_stage.finished(part.spec(), seed, data, network, init):
            raise LtdmError(
                f"{model} was trained with other options, data or code than the config asks for;"
                " run `ltdm train` with it first"
            )
        stage.run(changed(part.samples[name]), seed, model=model, samples=samples,
                  record=folder / "samples.json")  # fmt: skip
        grid.run(samples=samples, picture=folder / "grid.png")
        click.echo(f"{folder}: sampled; {folder / 'grid.png'} shows the first")


@main.command()
@on_grid("dataset", "run", "seed", "sample_set")
def features(**given: Any) -> None:
    """Extract features of the references and the sample sets."""
    from ltdm.stages import extractor
    from ltdm.stages import features as stage

    selection = _select(**given)
    for part in selection.experiment.evaluate.features:
        file = f"features/{part.name}.npz"
        for dataset in selection.grid["dataset"]:
            folder = selection.layout.data(dataset)
            weights = folder / f"extractors/{part.name}.safetensors"
            reference = folder / "reference.npz"
            record = weights.with_suffix(".json")
            extractor.run(part.plain(), reference=reference, weights=weights, record=record)
            stage.run(images=reference, weights=weights, features=folder / file)
        for dataset, run, seed, name in selection.samples():
            folder = selection.layout.samples(dataset, run, seed, name)
            weights = selection.layout.data(dataset) / f"extractors/{part.name}.safetensors"
            stage.run(images=folder / "samples.npz", weights=weights, features=folder / file)
            click.echo(folder / file)


@main.command()
@on_grid("dataset", "run", "seed", "sample_set")
def metrics(**given: Any) -> None:
    """Score the sample sets from their features; no network runs."""
    from ltdm.stages import metrics as stage

    selection = _select(**given)
    evaluate = selection.experiment.evaluate
    for (dataset, run, seed, name), metric in product(selection.samples(), evaluate.metrics):
        data = selection.layout.data(dataset)
        folder = selection.layout.samples(dataset, run, seed, name)
        file = {p.name: f"features/{p.name}.npz" for p in evaluate.features}
        stage.run(
            metric.plain(), list(evaluate.groups),
            {"dataset": dataset, "run": run, "seed": seed, "sample_set": name},
            counts=data / "counts.csv", real={k: data / f for k, f in file.items()},
            fake={k: folder / f for k, f in file.items()},
            table=folder / f"metrics/{metric.name}.csv",
            record=folder / f"metrics/{metric.name}.json",
        )  # fmt: skip
        click.echo(folder / f"metrics/{metric.name}.csv")


@main.command()
@on_grid()
def tables(**given: Any) -> None:
    """Gather all numbers, write the main table, and the manifest of what stands behind it."""
    from ltdm.lineage import lineage
    from ltdm.stages import manifest
    from ltdm.stages import tables as stage

    selection = _select(**given)
    evaluate, folder = selection.experiment.evaluate, selection.layout.root / "tables"
    stage.run(
        list(evaluate.table), evaluate.features[0].name,
        metrics=[
            selection.layout.samples(*key) / f"metrics/{metric.name}.csv"
            for key, metric in product(selection.samples(), evaluate.metrics)
        ],
        tidy=folder / "metrics.csv", csv=folder / "main.csv", markdown=folder / "main.md",
        latex=folder / "main.tex", record=folder / "tables.json",
    )  # fmt: skip
    manifest.run(lineage(selection.experiment), manifest=selection.layout.root / manifest.NAME)
    click.echo((folder / "main.md").read_text(encoding="utf-8"))


@main.command()
@on_grid("dataset", "run", "seed", "sample_set")
def check(**given: Any) -> None:
    """Check config files and say what they ask for."""
    selection = _select(**given)
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
    networks, sets = len(list(selection.networks())), len(list(selection.samples()))
    click.echo(f"{experiment.name}: {networks} networks to train, {sets} sets to sample. All well.")


@main.command()
@on_grid("dataset", "run", "seed", "sample_set")
@click.option("--bench", type=click.Path(path_type=Path), help="Figures of `ltdm bench --json`.")
@click.option("--tflops", type=float,
              help="Operations a second that the GPU reaches, in 10^12.")  # fmt: skip
def plan(bench: Path | None, tflops: float | None, **given: Any) -> None:
    """Say what an experiment will cost: jobs, evaluations, images, disk, GPU-hours."""
    from ltdm import plan as planning

    experiment = _select(**given).experiment
    click.echo(planning.text(experiment, planning.speeds(experiment, bench, tflops)))


@main.command()
@click.argument("results", type=click.Path(path_type=Path))
def verify(results: Path) -> None:
    """Check a results folder, such as results/demo, against its manifest."""
    from ltdm.stages import manifest

    files, size = manifest.verify(results)
    click.echo(f"{results}: {files} files, {size / 1e9:.3g} GB, all as its manifest says.")


@main.command()
@on_grid("run")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Turns each.")
@click.option("--updates", type=click.IntRange(1), default=10, show_default=True, help="A turn.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the figures here too.")
def bench(rounds: int, updates: int, path: Path | None, **given: Any) -> None:
    """Measure what each run costs, in turns, as ratios to the first."""
    from ltdm import bench as measure

    selection = _select(**given)
    result = measure.run(selection.experiment, selection.grid["run"], rounds, updates)
    click.echo(measure.to_text(result))
    if path:
        write_json(path, result)
