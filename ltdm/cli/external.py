"""What others made: import a checkpoint, average snapshots, score images."""

from collections.abc import Sequence
from pathlib import Path

import click
import yaml

from ltdm.cli.selection import DEVICE, PATH, run_on, whole
from ltdm.config.merge import Loader
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.registry import Part, names, several, stage_code


@click.command("import")
@click.argument("checkpoint", type=PATH)
@click.argument("model", type=PATH)
@whole("--resolution", 1, 32, "Height and width of its images, pixels: the file does not say.")
def import_(checkpoint: Path, model: Path, resolution: int) -> None:
    """Write MODEL (.safetensors) from a checkpoint that others released, and say what it is.

    Read are files of pytorch-ddpm, CBDM, IGD and OC_LT.
    """
    from ltdm.external import checkpoint as importing

    click.echo(importing.text(checkpoint, importing.convert(checkpoint, model, resolution)))


@click.command()
@click.argument("model", type=PATH)
@click.argument("output", type=PATH)
@click.option(
    "--sigma-rel",
    type=click.FloatRange(0.01, 0.28),
    required=True,
    help="Width of the average, relative to the training's length.",
)
def posthoc(model: Path, output: Path, sigma_rel: float) -> None:
    """Write OUTPUT (.safetensors) with another average of MODEL's weights, from its snapshots."""
    from ltdm.stages import ema

    request = {"sigma_rel": sigma_rel, "code": stage_code("ema")}
    made = ema.run(request, model=model, output=output, record=None)
    click.echo(f"{output}: {ema.told(made)}")


@click.command()
@click.argument("images", type=PATH)
@click.option(
    "--reference",
    type=PATH,
    required=True,
    help="What to compare with: images, or a data folder of an experiment.",
)
@click.option(
    "--features",
    multiple=True,
    help="An extractor, such as inception; by default the data folder's, else inception.",
)
@click.option("--metric", "metrics", multiple=True, help="A metric; by default all that suit.")
@click.option("--labels", type=PATH, help="Labels of the images (.npy).")
@click.option("--reference-labels", type=PATH, help="Labels of the reference (.npy).")
@click.option(
    "--cache-dir",
    type=PATH,
    default="results/scored",
    show_default=True,
    help="Where features and rows are kept.",
)
@DEVICE
def score(
    images: Path,
    reference: Path,
    features: tuple[str, ...],
    metrics: tuple[str, ...],
    labels: Path | None,
    reference_labels: Path | None,
    cache_dir: Path,
    device: str | None,
) -> None:
    """Score IMAGES that others made: a folder, an .npz or an .npy.

    An extractor or a metric with options is written as in a config, '{name: kid, subsets: 50}'.
    """
    from ltdm.external import score
    from ltdm.external.reference import Reference

    run_on(device)
    against = Reference(reference, reference_labels, cache_dir)
    extractors = _parts("extractor", features) or against.prepared()
    extractors = extractors or _parts("extractor", ["inception"])
    asked = _parts("metric", metrics) or score.suiting(
        _parts("metric", names("metric")), extractors, against
    )
    rows, file = score.run(images, against, extractors, asked, labels, cache_dir)
    click.echo(score.to_text(rows))
    click.echo(f"All rows: {file}")


def _parts(kind: str, given: Sequence[str]) -> tuple[Part, ...]:
    """Parse parts that are written as in a config."""
    try:
        values = [yaml.load(text, Loader) for text in given]
    except yaml.YAMLError as error:
        raise LtdmError(f"cannot read {' '.join(given)!r} as YAML: {error}") from error
    return several(kind, values, (kind,)) if values else ()
