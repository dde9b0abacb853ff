"""The stages without Snakemake: each command runs the jobs of some rules one after the other."""

from collections.abc import Collection
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from ltdm.cli.selection import experiment_options, load_experiment, select_sweeps
from ltdm.config.artefacts import artefact_refs, as_list, inputs, outputs
from ltdm.config.layout import MANIFEST, RULES
from ltdm.config.requests import request
from ltdm.pipeline.records import is_finished
from ltdm.plumbing.errors import LtdmError
from ltdm.reporting.rows import read_classes
from ltdm.stages import manifest

if TYPE_CHECKING:
    from ltdm.config.experiment import Experiment
    from ltdm.config.rules import Wildcards


def run_jobs(
    experiment: "Experiment", *rules: str, again: bool = True, sweeps: Collection[str] = ()
) -> None:
    """Run the jobs of rules in this process, and print the first output of each.

    Finished jobs run again only if `again`. `sweeps` restricts the theory lab's sweeps.

    Raises:
        LtdmError: A job fails, or would read a network that was trained with another config.
    """
    for rule in rules:
        stage = import_module(f"ltdm.stages.{RULES[rule].stage or rule}")
        for keys in RULES[rule].jobs(experiment.plan):
            if sweeps and keys["sweep"] not in sweeps:
                continue
            files = outputs(experiment.plan, rule, keys)
            first = as_list(next(iter(files.values())))[0]
            if not again and is_finished(experiment.plan, rule, keys):
                click.echo(f"{first}: already there")
                continue
            _check_networks(experiment, rule, keys)
            read_files = inputs(experiment.plan, rule, keys)
            stage.run(request(experiment, rule, keys), **read_files, **files)
            click.echo(first)


def _check_networks(experiment: "Experiment", rule: str, keys: "Wildcards") -> None:
    """Raise LtdmError if a job would read a network that is not the one the config requests."""
    for source in artefact_refs(experiment.plan, rule, keys).values():
        if isinstance(source, tuple) and source[0] == "train.model":
            model = experiment.layout.path("train.model", **source[1])
            if model.exists() and not is_finished(experiment.plan, "train", source[1]):
                raise LtdmError(
                    f"{model} was trained with other options, data or code than the config"
                    " requests; run `ltdm train` with this config first"
                )


def _print_table(experiment: "Experiment", table: str) -> None:
    """Print a table of the experiment as Markdown."""
    file = experiment.layout.path(table).with_suffix(".md")
    click.echo(file.read_text(encoding="utf-8"))


@click.command()
@experiment_options("dataset")
def prepare(**options: Any) -> None:
    """Build the long-tailed data sets and their references."""
    experiment = load_experiment(**options)
    run_jobs(experiment, "prepare", "reference_sheet")
    for name in experiment.datasets:
        counts = read_classes(experiment.layout.path("prepare.counts", dataset=name))
        click.echo(f"{name}: {counts['train'].sum()} training images")


@click.command()
@experiment_options("dataset", "run", "seed")
def train(**options: Any) -> None:
    """Train networks; skip finished ones and resume interrupted ones."""
    run_jobs(load_experiment(**options), "train", again=False)


@click.command()
@experiment_options("dataset", "run", "seed", "sample_set")
def sample(**options: Any) -> None:
    """Generate sample sets."""
    run_jobs(load_experiment(**options), "ema", "sample", "sample_sheet")


@click.command()
@experiment_options("dataset", "run", "seed", "sample_set")
def features(**options: Any) -> None:
    """Extract features of references and sample sets; find the nearest training images."""
    rules = (
        "extractor",
        "reference_features",
        "features",
        "unseen_neighbours",
        "neighbours",
        "copies_figure",
    )
    run_jobs(load_experiment(**options), *rules)


@click.command()
@experiment_options("dataset", "run", "seed", "sample_set")
def metrics(**options: Any) -> None:
    """Score the sample sets from their features; this runs no network."""
    run_jobs(load_experiment(**options), "metrics", "tuning_metrics")


@click.command()
@experiment_options("dataset", "run", "seed")
def probe(**options: Any) -> None:
    """Train and test the linear probe of each network, if the config has `evaluate.probe`."""
    experiment = load_experiment(**options)
    if experiment.evaluate.probe is None:
        raise LtdmError("the config requests no probe; set `evaluate: {probe: {}}`")
    run_jobs(experiment, "probe_split", "probe")


@click.command()
@experiment_options()
@click.option("--sweep", multiple=True, help="Restrict to this sweep; may be repeated.")
def theory(sweep: tuple[str, ...], **options: Any) -> None:
    """Run unfinished sweeps of the theory lab; once all are finished, write their tables."""
    experiment = load_experiment(**options)
    run_jobs(experiment, "theory", again=False, sweeps=select_sweeps(experiment, sweep))
    unfinished = [
        s for s in experiment.sweeps if not is_finished(experiment.plan, "theory", {"sweep": s})
    ]
    if unfinished:
        click.echo(f"no tables yet: {', '.join(unfinished)} still to run")
        return
    run_jobs(experiment, "theory_tables")
    _print_table(experiment, "theory_tables.findings")


@click.command()
@experiment_options()
def tables(**options: Any) -> None:
    """Collect all scores; write the tables, the figures and the manifest of the results."""
    from ltdm.pipeline.lineage import lineage, manifest_request

    experiment = load_experiment(**options)
    figures = "figures", "ema_width_figure", "guidance_figure", "probe_figure"
    run_jobs(experiment, "tables", "tuned_tables", "probe_tables", *figures)
    request = manifest_request(experiment.plan, lineage(experiment.plan))
    manifest.run(request, manifest=experiment.layout.root / MANIFEST)
    _print_table(experiment, "tables.main")
    if experiment.evaluate.tuning_half:
        _print_table(experiment, "tuned_tables.main")


COMMANDS = prepare, train, sample, features, metrics, probe, theory, tables
