"""The stages by hand: each command runs the jobs of some rules, here and one after the other."""

from collections.abc import Collection
from importlib import import_module
from typing import Any

import click

from ltdm.cli.selection import Selection, on_grid, select
from ltdm.plumbing.errors import LtdmError


def run(selection: Selection, rule: str, again: bool = True, only: Collection[str] = ()) -> None:
    """Run a rule's jobs, and say of each what it wrote.

    Args:
        selection: The experiment, and which part of it.
        rule: The rule.
        again: Whether jobs that are finished are run again.
        only: Sweeps of the theory lab; all, if none is named.
    """
    from ltdm.config.artefacts import flat, inputs, outputs
    from ltdm.config.layout import STEPS
    from ltdm.config.requests import request

    experiment = selection.experiment
    stage = import_module(f"ltdm.stages.{STEPS[rule].stage or rule}")
    for keys in selection.keys(rule):
        if only and keys["sweep"] not in only:
            continue
        files = outputs(experiment, rule, keys)
        (first, *_) = flat(next(iter(files.values())))
        if not again and selection.is_finished(rule, keys):
            click.echo(f"{first}: already there")
            continue
        selection.refuse_other_networks(rule, keys)
        read = inputs(experiment, rule, keys)
        stage.run(request(experiment, rule, keys), **read, **files)
        click.echo(first)


@click.command()
@on_grid("dataset")
def prepare(**given: Any) -> None:
    """Build the long-tailed data sets."""
    selection = select(**given)
    run(selection, "prepare")
    for name, data in selection.experiment.datasets.items():
        click.echo(f"{name}: {sum(data.class_counts)} training images")


@click.command()
@on_grid("dataset", "run", "seed")
def train(**given: Any) -> None:
    """Train networks; a finished one is left alone, an interrupted one goes on."""
    run(select(**given), "train", again=False)


@click.command()
@on_grid("dataset", "run", "seed", "sample_set")
def sample(**given: Any) -> None:
    """Generate sample sets."""
    selection = select(**given)
    for rule in ("posthoc", "sample", "grid"):
        run(selection, rule)


@click.command()
@on_grid("dataset", "run", "seed", "sample_set")
def features(**given: Any) -> None:
    """Extract features of the references and the sample sets; find nearest training images."""
    selection = select(**given)
    for rule in ("extractor", "reference_features", "features", "unseen", "neighbours", "copies"):
        run(selection, rule)


@click.command()
@on_grid("dataset", "run", "seed", "sample_set")
def metrics(**given: Any) -> None:
    """Score the sample sets from their features; no network runs."""
    run(select(**given), "metrics")


@click.command()
@on_grid("dataset", "run", "seed")
def probe(**given: Any) -> None:
    """Train and test the linear probe of the networks, where `evaluate.probe` asks for one."""
    selection = select(**given)
    if selection.experiment.evaluate.probe is None:
        raise LtdmError("the config asks for no probe; set `evaluate: {probe: {}}`")
    for rule in ("probe_split", "probe"):
        run(selection, rule)


@click.command()
@on_grid()
@click.option("--sweep", multiple=True, help="Only this one.")
def theory(sweep: tuple[str, ...], **given: Any) -> None:
    """Run sweeps of the theory lab that are due; with the last of them, write the tables of all."""
    selection = select(**given)
    selection.sweeps(sweep)
    run(selection, "theory", again=False, only=sweep)
    due = [k["sweep"] for k in selection.keys("theory") if not selection.is_finished("theory", k)]
    if due:
        click.echo(f"no tables yet: {', '.join(due)} still to run")
        return
    run(selection, "theory_tables")
    click.echo(selection.text("theory_tables.findings"))


@click.command()
@on_grid()
def tables(**given: Any) -> None:
    """Gather all numbers, write the main table, and the manifest of what stands behind it."""
    from ltdm.config.layout import MANIFEST
    from ltdm.pipeline.lineage import manifest_request
    from ltdm.stages import manifest

    selection = select(**given)
    for rule in ("tables", "probe_tables"):
        run(selection, rule)
    experiment = selection.experiment
    manifest.run(manifest_request(experiment), manifest=experiment.layout.root / MANIFEST)
    click.echo(selection.text("tables.main"))
