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

CACHE_DIR = click.option(
    "--cache-dir",
    type=PATH,
    default="results/scored",
    show_default=True,
    help="Folder for features and rows, which later calls reuse.",
)


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
    help="Images to compare with; the data folder of an experiment; statistics (.npz with mu and"
    " sigma), which give the FID alone; or features (.npy) of the extractor that is named.",
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
@CACHE_DIR
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
    from ltdm.external import precomputed, score
    from ltdm.external.reference import Reference
    from ltdm.pipeline.old_results import check_results_version

    set_device(device)
    check_results_version(reference.resolve().parent.parent)
    chosen, metric_parts = parse_parts("extractor", extractors), parse_parts("metric", metrics)
    every_metric = () if metric_parts else parse_parts("metric", part_names("metric"))
    if kind := precomputed.kind_of(reference):
        if labels or reference_labels:
            raise LtdmError(f"{reference} has no images, so no classes; leave the labels out")
        extractor = precomputed.pick_extractor(chosen, reference, kind)
        metric_parts = metric_parts or precomputed.usable_metrics(every_metric, kind)
        rows, file = precomputed.run(images, reference, extractor, metric_parts, cache_dir)
    else:
        real = Reference(reference, reference_labels, cache_dir)
        chosen = chosen or real.prepared_extractors() or parse_parts("extractor", ["inception"])
        metric_parts = metric_parts or tuple(score.usable_metrics(every_metric, chosen, real))
        rows, file = score.run(images, real, chosen, metric_parts, labels, cache_dir)
    click.echo(score.format_rows(rows))
    click.echo(f"All rows: {file}")


@click.command()
@click.argument("images", type=PATH)
@click.argument("output", type=PATH)
@click.option(
    "--extractor", default="inception", show_default=True, help="Feature extractor, one network."
)
@CACHE_DIR
@DEVICE
def stats(images: Path, output: Path, extractor: str, cache_dir: Path, device: str | None) -> None:
    """Write the mean and covariance of the features of IMAGES to OUTPUT (.npz).

    The file is that of `pytorch-fid --save-stats`: `mu` and `sigma`. IMAGES are a folder, an .npz,
    an .npy, or the data folder of an experiment, whose reference is taken.
    """
    from ltdm.external import precomputed
    from ltdm.external.reference import Reference
    from ltdm.pipeline.old_results import check_results_version

    set_device(device)
    refuse_overwriting(images, output)
    if output.suffix != ".npz":
        raise LtdmError(f"{output} must end in .npz, by which other programs know the file")
    check_results_version(images.resolve().parent.parent)
    (part,) = parse_parts("extractor", [extractor])
    reference = Reference(images, None, cache_dir)
    refuse_overwriting(reference.file, output)
    gaussian = precomputed.compute_statistics(reference, part)
    precomputed.write_statistics(output, gaussian)
    click.echo(f"{output}: {len(gaussian.mean)} features of {part.label}")


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


COMMANDS = import_, ema, score, stats
