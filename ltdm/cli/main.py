"""The command `ltdm`: each stage by hand, without Snakemake, and the commands beside them."""

import logging
import sys
from itertools import product
from pathlib import Path
from typing import Any

import click

from ltdm import __version__
from ltdm.cli import commands
from ltdm.cli.selection import on_grid, select
from ltdm.plumbing.errors import LtdmError, Stopped
from ltdm.plumbing.options import changed, places


class Group(click.Group):
    """Commands whose LtdmError ends with one sentence on stderr, and a status that says so."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(context)
        except LtdmError as error:
            click.echo(f"ltdm: {error}", err=True)
            sys.exit(Stopped.STATUS if isinstance(error, Stopped) else 1)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Long-tailed diffusion models under one protocol.

    `snakemake` runs everything that is due; these commands run one stage at a time. They take
    config files, later ones over earlier ones.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")


@main.command()
@on_grid("dataset")
def prepare(**given: Any) -> None:
    """Build the long-tailed data sets."""
    from ltdm.stages import prepare as stage

    selection = select(**given)
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
    from ltdm.stages import ensemble, released
    from ltdm.stages import train as plain

    selection = select(**given)
    for dataset, run, seed in selection.networks():
        folder = selection.layout.run(dataset, run, seed)
        if selection.finished(dataset, run, seed):
            click.echo(f"{folder}: already trained")
            continue
        made = selection.experiment.runs[dataset, run]
        files = {
            "data": selection.layout.data(dataset) / "train.npz", "record": folder / "run.json",
            "model": folder / "model.safetensors", "history": folder / "history.csv",
        }  # fmt: skip
        if made.train.checkpoint is not None:
            released.run(made.spec(), seed, Path(made.train.checkpoint), **files)
            click.echo(f"{folder}: taken from {made.train.checkpoint}")
            continue
        init = selection.experiment.init(dataset, run, seed)
        if made.train.ensemble:
            ensemble.run(made.spec(), seed, **files, init=init)
        else:
            plain.run(made.spec(), seed, **files, init=init, gpus=made.train.gpus)
        click.echo(f"{folder}: trained")


@main.command()
@on_grid("dataset", "run", "seed", "sample_set")
def sample(**given: Any) -> None:
    """Generate sample sets."""
    from ltdm.stages import grid, posthoc
    from ltdm.stages import sample as stage

    selection = select(**given)
    for dataset, run, seed, name in selection.samples():
        folder = selection.layout.samples(dataset, run, seed, name)
        spec = selection.experiment.runs[dataset, run].samples[name]
        model, samples = selection.network(dataset, run, seed), folder / "samples.npz"
        if spec.sigma_rel is not None:
            network, model = model, selection.experiment.model(dataset, run, seed, name)
            posthoc.run(spec.sigma_rel, model=network, output=model,
                        record=model.with_suffix(".json"))  # fmt: skip
        guide = selection.network(dataset, spec.guide, seed) if spec.guide else None
        stage.run(changed(spec), seed, model=model, samples=samples,
                  record=folder / "samples.json", guide=guide)  # fmt: skip
        grid.run(samples=samples, picture=folder / "grid.png")
        click.echo(f"{folder}: sampled; {folder / 'grid.png'} shows the first")


@main.command()
@on_grid("dataset", "run", "seed", "sample_set")
def features(**given: Any) -> None:
    """Extract features of the references and the sample sets; find nearest training images."""
    from ltdm.stages import copies, extractor, neighbours
    from ltdm.stages import features as stage

    selection = select(**given)
    for part in selection.experiment.evaluate.features:
        file = f"features/{part.label}.npz"
        for dataset in selection.grid["dataset"]:
            folder = selection.layout.data(dataset)
            weights = folder / f"extractors/{part.label}.safetensors"
            reference = folder / "reference.npz"
            record = weights.with_suffix(".json")
            extractor.run(part.plain(), places(part.options), reference=reference,
                          weights=weights, record=record)  # fmt: skip
            stage.run(images=reference, weights=weights, features=folder / file)
        for dataset, run, seed, name in selection.samples():
            folder = selection.layout.samples(dataset, run, seed, name)
            weights = selection.layout.data(dataset) / f"extractors/{part.label}.safetensors"
            stage.run(images=folder / "samples.npz", weights=weights, features=folder / file)
            click.echo(folder / file)
    for metric in selection.experiment.evaluate.searching:
        search, file = metric.module.search(metric.options), f"neighbours/{metric.label}.npz"
        for dataset in selection.grid["dataset"]:
            data = selection.layout.data(dataset)
            neighbours.run(search, train=data / "train.npz", images=data / "reference.npz",
                           neighbours=data / file, unseen=True)  # fmt: skip
        for dataset, run, seed, name in selection.samples():
            data = selection.layout.data(dataset)
            folder = selection.layout.samples(dataset, run, seed, name)
            train, samples, found = data / "train.npz", folder / "samples.npz", folder / file
            neighbours.run(search, train=train, images=samples, neighbours=found)
            copies.run(train=train, samples=samples, counts=data / "counts.csv",
                       neighbours=found, picture=found.with_suffix(".png"))  # fmt: skip
            click.echo(found)


@main.command()
@on_grid("dataset", "run", "seed", "sample_set")
def metrics(**given: Any) -> None:
    """Score the sample sets from their features; no network runs."""
    from ltdm.stages import metrics as stage

    selection = select(**given)
    evaluate = selection.experiment.evaluate
    for (dataset, run, seed, name), metric in product(selection.samples(), evaluate.metrics):
        data = selection.layout.data(dataset)
        folder = selection.layout.samples(dataset, run, seed, name)
        file = evaluate.files(metric)
        stage.run(
            metric.plain(), evaluate.grouping(),
            {"dataset": dataset, "run": run, "seed": seed, "sample_set": name},
            counts=data / "counts.csv", real={k: data / f for k, f in file.items()},
            fake={k: folder / f for k, f in file.items()},
            table=folder / f"metrics/{metric.label}.csv",
            record=folder / f"metrics/{metric.label}.json",
        )  # fmt: skip
        click.echo(folder / f"metrics/{metric.label}.csv")


@main.command()
@on_grid("dataset", "run", "seed")
def probe(**given: Any) -> None:
    """Train and test the linear probe of the networks, where `evaluate.probe` asks for one."""
    from ltdm.stages import probe as stage
    from ltdm.stages import probe_split

    selection = select(**given)
    evaluate, grid = selection.experiment.evaluate, selection.grid
    if evaluate.probe is None:
        raise LtdmError("the config asks for no probe; set `evaluate: {probe: {}}`")
    for dataset in grid["dataset"]:
        data, folder = selection.experiment.datasets[dataset], selection.layout.data(dataset)
        test = folder / "test.npz"
        probe_split.run(data.test_spec(), places(data.source.options), test=test,
                       reference=folder / "reference.npz", record=folder / "test.json")  # fmt: skip
        for run, seed in product(grid["run"], grid["seed"]):
            table = selection.layout.run(dataset, run, seed) / "probe.csv"
            stage.run(
                changed(evaluate.probe), evaluate.probe_grouping(),
                {"dataset": dataset, "run": run, "seed": seed},
                model=selection.network(dataset, run, seed), test=test, table=table,
                train=folder / evaluate.probe.file, counts=folder / "counts.csv",
                record=table.with_suffix(".json"),
            )  # fmt: skip
            click.echo(table)


@main.command()
@on_grid()
@click.option("--sweep", "names", multiple=True, help="Only this one.")
def theory(names: tuple[str, ...], **given: Any) -> None:
    """Run sweeps of the theory lab that are due; with the last of them, write the tables of all."""
    from ltdm.stages import theory as stage
    from ltdm.stages import theory_tables

    selection = select(**given)
    sweeps = selection.sweeps(())
    for name, sweep in selection.sweeps(names).items():
        file = selection.layout.sweep(name)
        if not stage.finished(sweep, file):
            networks, record = (file.with_suffix(ending) for ending in stage.ENDINGS[1:])
            stage.run(sweep.spec(), rows=file, networks=networks, record=record)
        click.echo(file)
    rows = {name: selection.layout.sweep(name) for name in sweeps}
    if due := [name for name in sweeps if not stage.finished(sweeps[name], rows[name])]:
        click.echo(f"no tables yet: {', '.join(due)} still to run")
        return
    folder = selection.layout.root / "tables"
    theory_tables.run({name: changed(sweep) for name, sweep in sweeps.items()}, rows=rows,
                      folder=folder)  # fmt: skip
    click.echo((folder / f"{theory_tables.FINDINGS}.md").read_text(encoding="utf-8"))


@main.command()
@on_grid()
def tables(**given: Any) -> None:
    """Gather all numbers, write the main table, and the manifest of what stands behind it."""
    from ltdm.pipeline.lineage import lineage
    from ltdm.stages import manifest, probe_tables
    from ltdm.stages import tables as stage

    selection = select(**given)
    evaluate, folder = selection.experiment.evaluate, selection.layout.root / "tables"
    files = [
        selection.layout.samples(*key) / f"metrics/{metric.label}.csv"
        for key, metric in product(selection.samples(), evaluate.metrics)
    ]
    stage.run(**selection.experiment.shown(), metrics=files, folder=folder)
    if evaluate.probe:
        networks = product(*(selection.grid[axis] for axis in ("dataset", "run", "seed")))
        probes = [selection.layout.run(*key) / "probe.csv" for key in networks]
        probe_tables.run(probes=probes, folder=folder)
    manifest.run(lineage(selection.experiment), manifest=selection.layout.root / manifest.NAME)
    click.echo((folder / "main.md").read_text(encoding="utf-8"))


for command in vars(commands).values():
    if isinstance(command, click.Command):
        main.add_command(command)
