"""Work on other people's files: import a checkpoint, score images; and average snapshots."""

from collections.abc import Sequence
from pathlib import Path

import click
import yaml

from ltdm.cli.selection import DEVICE, PATH, integer_option, refuse_overwriting, set_device
from ltdm.config.merge import yaml_fault
from ltdm.config.strict_yaml import StrictLoader
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.registry import Part, parse_part_list, part_names, stage_digest


@click.command("import")
@click.argument("checkpoint", type=PATH)
@click.argument("model", type=PATH)
@integer_option(
    "--resolution", 1, 32, "Height and width of its images in pixels, which the file does not hold."
)
def import_(checkpoint: Path, model: Path, resolution: int) -> None:
    """Convert a released CHECKPOINT to MODEL (.safetensors), and describe it.

    Supported are the checkpoints of pytorch-ddpm, CBDM, IGD and OC_LT.
    """
    from ltdm.external import checkpoint as importing

    refuse_overwriting(checkpoint, model)
    click.echo(importing.describe(checkpoint, importing.convert(checkpoint, model, resolution)))


@click.command()
@click.argument("model", type=PATH)
@click.argument("output", type=PATH)
@click.option(
    "--sigma-rel",
    type=click.FloatRange(0.01, 0.28),
    required=True,
    help="Width of the EMA profile, relative to the length of training.",
)
def ema(model: Path, output: Path, sigma_rel: float) -> None:
    """Write OUTPUT (.safetensors): MODEL with a post-hoc EMA of its snapshots."""
    from ltdm.core.weights import read_metadata
    from ltdm.stages import ema

    read_metadata(model, is_result=False)  # the stage takes it for a result of the workflow
    refuse_overwriting(model, output)
    request = {"sigma_rel": sigma_rel, "code": stage_digest("ema")}
    record = ema.run(request, model=model, output=output, record=None)
    click.echo(f"{output}: {ema.describe(record)}")


@click.command()
@click.argument("images", type=PATH)
@click.option(
    "--reference",
    type=PATH,
    required=True,
    help="Images to compare with, or the data folder of an experiment.",
)
@click.option(
    "--extractor",
    "extractors",
    multiple=True,
    help="Feature extractor, such as inception; may be repeated. By default those of the data"
    " folder, else inception.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Metric to compute; may be repeated. By default all that the inputs allow.",
)
@click.option("--labels", type=PATH, help="Labels of the images (.npy).")
@click.option("--reference-labels", type=PATH, help="Labels of the reference (.npy).")
@click.option(
    "--cache-dir",
    type=PATH,
    default="results/scored",
    show_default=True,
    help="Folder for features and rows, which later calls reuse.",
)
@DEVICE
def score(
    images: Path,
    reference: Path,
    extractors: tuple[str, ...],
    metrics: tuple[str, ...],
    labels: Path | None,
    reference_labels: Path | None,
    cache_dir: Path,
    device: str | None,
) -> None:
    """Score any IMAGES: a folder, an .npz or an .npy.

    Write an extractor or a metric with options as in a config: '{name: kid, subsets: 50}'.
    """
    from ltdm.external import score
    from ltdm.external.reference import Reference
    from ltdm.pipeline.old_results import check_results_version

    set_device(device)
    check_results_version(reference.resolve().parent.parent)
    real = Reference(reference, reference_labels, cache_dir)
    extractor_parts = parse_parts("extractor", extractors) or real.prepared_extractors()
    extractor_parts = extractor_parts or parse_parts("extractor", ["inception"])
    metric_parts = parse_parts("metric", metrics)
    if not metric_parts:
        every_metric = parse_parts("metric", part_names("metric"))
        metric_parts = tuple(score.usable_metrics(every_metric, extractor_parts, real))
    rows, file = score.run(images, real, extractor_parts, metric_parts, labels, cache_dir)
    click.echo(score.format_rows(rows))
    click.echo(f"All rows: {file}")


def parse_parts(kind: str, texts: Sequence[str]) -> tuple[Part, ...]:
    """Parse parts of a kind, each written as in a config.

    Raises:
        LtdmError: A text is not YAML, or not a part of the kind.
    """
    values = []
    for text in texts:
        try:
            values.append(yaml.load(text, StrictLoader))
        except yaml.YAMLError as error:
            raise LtdmError(
                f"--{kind} {text[:80]!r}{yaml_fault(error)}; write it as in a config, in quotes"
            ) from error
    return parse_part_list(kind, values, (f"--{kind}",)) if values else ()


COMMANDS = import_, ema, score
