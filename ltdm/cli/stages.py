"""The stages by hand: each command runs the jobs of some rules, here and one after the other."""

from collections.abc import Collection
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from ltdm.cli.selection import on_grid, select, sweeps
from ltdm.config.artefacts import artefact_refs, as_list, inputs, outputs
from ltdm.config.layout import MANIFEST, RULES
from ltdm.config.requests import request
from ltdm.pipeline.old_results import check_results_version
from ltdm.plumbing.errors import LtdmError
from ltdm.stages import manifest

if TYPE_CHECKING:
    from ltdm.config.experiment import Experiment
    from ltdm.config.rules import Wildcards


def run(
    experiment: "Experiment", *rules: str, again: bool = True, only: Collection[str] = ()
) -> None:
    """Run the jobs of rules, and say of each what it wrote.

    Those that are finished run once more only with `again`; `only` are sweeps of the theory lab, if
    not all are meant.
    """
    check_results_version(experiment.layout.root)
    for rule in rules:
        stage = import_module(f"ltdm.stages.{RULES[rule].stage or rule}")
        for keys in RULES[rule].jobs(experiment):
            if only and keys["sweep"] not in only:
                continue
            files = outputs(experiment, rule, keys)
            first = as_list(next(iter(files.values())))[0]
            if not again and _is_finished(experiment, rule, keys):
                click.echo(f"{first}: already there")
                continue
            _refuse_other_networks(experiment, rule, keys)
            read = inputs(experiment, rule, keys)
            stage.run(request(experiment, rule, keys), **read, **files)
            click.echo(first)


def _is_finished(experiment: "Experiment", rule: str, keys: "Wildcards") -> bool:
    from ltdm.pipeline.records import is_finished  # with PyTorch, which not all commands need

    return is_finished(experiment, rule, keys)


def _refuse_other_networks(experiment: "Experiment", rule: str, keys: "Wildcards") -> None:
    """Raise LtdmError for a network that a job would read, but the config does not ask for."""
    for source in artefact_refs(experiment, rule, keys).values():
        if isinstance(source, tuple) and source[0] == "train.model":
            model = experiment.layout.path("train.model", **source[1])
            if model.exists() and not _is_finished(experiment, "train", source[1]):
                raise LtdmError(
                    f"{model} was trained with other options, data or code than the config"
                    " asks for; run `ltdm train` with it first"
                )


def _show(experiment: "Experiment", table: str) -> None:
    """Print a table as Markdown."""
    file = experiment.layout.path(table).with_suffix(".md")
    click.echo(file.read_text(encoding="utf-8"))


@click.command()
@on_grid("dataset")
def prepare(**given: Any) -> None:
    """Build the long-tailed data sets."""
    experiment = select(**given)
    run(experiment, "prepare")
    for name, data in experiment.datasets.items():
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
    run(select(**given), "ema", "sample", "sample_sheet")


@click.command()
@on_grid("dataset", "run", "seed", "sample_set")
def features(**given: Any) -> None:
    """Extract features of the references and the sample sets; find nearest training images."""
    rules = (
        "extractor",
        "reference_features",
        "features",
        "unseen_neighbours",
        "neighbours",
        "copies_figure",
    )
    run(select(**given), *rules)


@click.command()
@on_grid("dataset", "run", "seed", "sample_set")
def metrics(**given: Any) -> None:
    """Score the sample sets from their features; no network runs."""
    run(select(**given), "metrics")


@click.command()
@on_grid("dataset", "run", "seed")
def probe(**given: Any) -> None:
    """Train and test the linear probe of the networks, where `evaluate.probe` asks for one."""
    experiment = select(**given)
    if experiment.evaluate.probe is None:
        raise LtdmError("the config asks for no probe; set `evaluate: {probe: {}}`")
    run(experiment, "probe_split", "probe")


@click.command()
@on_grid()
@click.option("--sweep", multiple=True, help="Only this one.")
def theory(sweep: tuple[str, ...], **given: Any) -> None:
    """Run sweeps of the theory lab that are due; with the last of them, write the tables of all."""
    experiment = select(**given)
    run(experiment, "theory", again=False, only=sweeps(experiment, sweep))
    due = [s for s in experiment.sweeps if not _is_finished(experiment, "theory", {"sweep": s})]
    if due:
        click.echo(f"no tables yet: {', '.join(due)} still to run")
        return
    run(experiment, "theory_tables")
    _show(experiment, "theory_tables.findings")


@click.command()
@on_grid()
def tables(**given: Any) -> None:
    """Gather all numbers, write the main table, and the manifest of what stands behind it."""
    from ltdm.pipeline.lineage import manifest_request

    experiment = select(**given)
    run(experiment, "tables", "probe_tables")
    manifest.run(manifest_request(experiment), manifest=experiment.layout.root / MANIFEST)
    _show(experiment, "tables.main")
