"""Commands beside the stages: what a config asks for, what things cost, what others made."""

from pathlib import Path
from typing import Any

import click
import yaml

from ltdm.cli.selection import DEVICE, on_grid, run_on, select
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import write_json
from ltdm.plumbing.registry import Part, names, several

UNEVEN = 1.5  # times the smallest class: from there on `check` says so
PLACE = click.Path(path_type=Path)


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
    taken = [experiment.runs[d, run].train.released for d, run, _ in selection.networks()]
    imported = f" and {sum(taken)} to import" if any(taken) else ""
    click.echo(
        f"{experiment.name}: {len(taken) - sum(taken)} networks to train{imported},"
        f" {len(list(selection.samples()))} sets to sample. All well."
    )


@click.command()
@on_grid("dataset", "run", "seed", "sample_set")
@click.option("--bench", type=click.Path(path_type=Path), help="Figures of `ltdm bench --json`.")
@click.option("--tflops", type=float,
              help="Operations a second that the GPU reaches, in 10^12.")  # fmt: skip
def plan(bench: Path | None, tflops: float | None, **given: Any) -> None:
    """Say what an experiment will cost: jobs, evaluations, images, disk, GPU-hours."""
    from ltdm.pipeline import cost as planning

    experiment = select(**given).experiment
    click.echo(planning.text(experiment, planning.speeds(experiment, bench, tflops)))


@click.command("import")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--side", type=click.IntRange(1), default=32, show_default=True,
              help="Height and width of its images, pixels: the file does not say.")  # fmt: skip
def import_(checkpoint: Path, model: Path, side: int) -> None:
    """Write MODEL (.safetensors) from a checkpoint that others released, and say what it is.

    Read are files of pytorch-ddpm, CBDM, IGD and OC_LT.
    """
    from ltdm.external import checkpoint as importing

    click.echo(importing.text(checkpoint, importing.convert(checkpoint, model, side)))


@click.command()
@click.argument("model", type=PLACE)
@click.argument("output", type=PLACE)
@click.option("--sigma-rel", type=click.FloatRange(0.01, 0.28), required=True,
              help="Width of the average, relative to the training's length.")  # fmt: skip
def posthoc(model: Path, output: Path, sigma_rel: float) -> None:
    """Write OUTPUT (.safetensors) with another average of MODEL's weights, from its snapshots."""
    from ltdm.stages import posthoc as stage

    click.echo(f"{output}: {stage.told(stage.run(sigma_rel, model=model, output=output))}")


@click.command()
@click.argument("results", type=PLACE)
def status(results: Path) -> None:
    """Say how far each network of a results folder, such as results/demo, is."""
    from ltdm.pipeline import status as reading

    click.echo(reading.text(results))


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
def verify(results: Path) -> None:
    """Check a results folder, such as results/demo, against its manifest."""
    from ltdm.stages import manifest

    files, size = manifest.verify(results)
    click.echo(f"{results}: {files} files, {size / 1e9:.3g} GB, all as its manifest says.")


@click.command()
@on_grid("run", "sample_set")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Turns each.")
@click.option("--updates", type=click.IntRange(1), default=10, show_default=True, help="A turn.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the figures here too.")
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


@click.command("image-distances")
@on_grid("dataset", "run", "seed", "sample_set")
def image_distances(**given: Any) -> None:
    """Say how far the images of each sample set are from those of the first."""
    from ltdm.tools import image_distances as measure

    rows = measure.run(select(**given).experiment)
    click.echo(rows.to_string(index=False, float_format="{:.4g}".format))


@click.command("bench-scores")
@click.option("--images", type=click.IntRange(1000), default=50_000, show_default=True,
              help="Of each set.")  # fmt: skip
@click.option("--length", type=click.IntRange(2), default=2048, show_default=True,
              help="Of a feature vector.")  # fmt: skip
@click.option("--classes", type=click.IntRange(1), default=100, show_default=True,
              help="Class-wise distances.")  # fmt: skip
@click.option("--inception", type=click.IntRange(8), default=256, show_default=True,
              help="Images that the Inception network is timed on.")  # fmt: skip
@click.option("--json", "path", type=PLACE, help="Write the figures here too.")
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
@click.option("--updates", type=click.IntRange(1), default=20_000, show_default=True,
              help="So many are made one by one, to tell what all would take.")  # fmt: skip
@click.option("--json", "path", type=PLACE, help="Write the figures here too.")
def bench_theory(name: str | None, updates: int, path: Path | None, **given: Any) -> None:
    """Measure a seed of a sweep of the theory lab, beside its games one at a time."""
    from ltdm.tools import bench_theory as measure

    sweeps = select(**given).sweeps((name,) if name else ())
    largest = max(sweeps, key=lambda one: sweeps[one].games)
    result = measure.run(largest, sweeps[largest], updates)
    click.echo(measure.to_text(result))
    if path:
        write_json(path, result)


@click.command()
@click.argument("images", type=PLACE)
@click.option("--reference", type=PLACE, required=True,
              help="What to compare with: images, or a data folder of an experiment.")  # fmt: skip
@click.option("--features", multiple=True, help="An extractor, such as inception; by default the"
              " data folder's, else inception.")  # fmt: skip
@click.option("--metric", "metrics", multiple=True, help="A metric; by default all that suit.")
@click.option("--labels", type=PLACE, help="Labels of the images (.npy).")
@click.option("--reference-labels", type=PLACE, help="Labels of the reference (.npy).")
@click.option("--work", type=PLACE, default=Path("results/scored"), show_default=True,
              help="Where features and rows are kept.")  # fmt: skip
@DEVICE
def score(
    images: Path, reference: Path, features: tuple[str, ...], metrics: tuple[str, ...],
    labels: Path | None, reference_labels: Path | None, work: Path, device: str | None,
) -> None:  # fmt: skip
    """Score IMAGES that others made: a folder, an .npz or an .npy.

    An extractor or a metric with options is written as in a config, '{name: kid, subsets: 50}'.
    """
    from ltdm.external import score
    from ltdm.external.reference import Reference

    run_on(device)
    against = Reference(reference, reference_labels, work)
    extractors = _parts("extractor", features) or against.prepared() or _parts(
        "extractor", ("inception",))  # fmt: skip
    asked = _parts("metric", metrics) or score.suiting(
        _parts("metric", names("metric")), extractors, against
    )
    rows, file = score.run(images, against, extractors, asked, labels, work)
    click.echo(score.to_text(rows))
    click.echo(f"All rows: {file}")


def _parts(kind: str, given: tuple[str, ...] | list[str]) -> tuple[Part, ...]:
    """Parse parts that are written as in a config."""
    try:
        values = [yaml.safe_load(text) for text in given]
    except yaml.YAMLError as error:
        raise LtdmError(f"cannot read {' '.join(given)!r} as YAML: {error}") from error
    return several(kind, values, (kind,)) if values else ()
