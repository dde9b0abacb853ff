"""References without images: the mean and covariance of features, or the features themselves.

The files are those of the field: an .npz with `mu` and `sigma`, as pytorch-fid writes it and CBDM,
IGD, EDM, clean-fid and ADM read it; and an .npy of features, one row per image.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ltdm.external import images as image_sets
from ltdm.external.reference import Reference, prepare_weights, store_images
from ltdm.external.score import IMAGES, compute_metric, extract_features
from ltdm.metrics import frechet
from ltdm.metrics._base import value_name
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors, read_npz, sha256, write_npz, write_text
from ltdm.plumbing.registry import Part, parse_part
from ltdm.reporting.rows import FEW_IMAGES, write_rows
from ltdm.stages import metrics as metrics_stage

MEAN, COVARIANCE = "mu", "sigma"
"""The names of both arrays in pytorch-fid's files."""
TOLERANCE = 1e-6  # of the covariance's largest entry, by which rounding may unbalance it


def is_precomputed(path: Path) -> bool:
    """Whether a file holds statistics or features, and no images."""
    if path.suffix not in (".npz", ".npy") or not path.is_file():
        return False
    with explain_read_errors(path, "array file (.npz, .npy) of plain numbers", is_result=False):
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded.ndim == 2
        with loaded:
            has_images = any(key in loaded for key in image_sets.IMAGE_KEYS)
            return not has_images and (MEAN in loaded or COVARIANCE in loaded)


def pick_extractor(chosen: Sequence[Part], path: Path) -> Part:
    """Return the one extractor that was chosen; of statistics, Inception by default.

    Raises:
        LtdmError: Several are chosen, or none for a file of features.
    """
    if len(chosen) > 1 or (not chosen and path.suffix == ".npy"):
        raise LtdmError(
            f"{path} was made with one extractor, and does not say which; name it: --extractor"
        )
    return chosen[0] if chosen else parse_part("extractor", "inception", ())


def usable_metrics(metrics: Sequence[Part], path: Path) -> tuple[Part, ...]:
    """Return the metrics that can be computed: of features many, of statistics `frechet` alone."""
    return tuple(metric for metric in metrics if _is_usable(metric, path))


def _is_usable(metric: Part, path: Path) -> bool:
    reads_features = metric.module.INPUT == "features"
    return bool(reads_features and (path.suffix == ".npy" or metric.name == "frechet"))


def read_statistics(path: Path) -> frechet.Gaussian:
    """Return the Gaussian of a file of statistics.

    Raises:
        LtdmError: The file is damaged, or its arrays are no mean and covariance.
    """
    mean, covariance = read_npz(path, MEAN, COVARIANCE, is_result=False)
    mean = np.atleast_1d(mean)
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)) or not mean.size:
        raise LtdmError(
            f"{path}: {MEAN} and {COVARIANCE} must have the shapes (d,) and (d, d), not"
            f" {mean.shape} and {covariance.shape}; write the file again, by `ltdm stats` say"
        )
    if {mean.dtype.kind, covariance.dtype.kind} != {"f"}:
        raise LtdmError(f"{path}: {MEAN} and {COVARIANCE} must hold floating-point numbers")
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise LtdmError(f"{path} has values that are not finite; write it again")
    mean, covariance = mean.astype(np.float64), covariance.astype(np.float64)
    slack = TOLERANCE * np.abs(covariance).max()
    if np.abs(covariance - covariance.T).max() > slack or np.diag(covariance).min() < -slack:
        raise LtdmError(f"{path}: {COVARIANCE} is no covariance: not symmetric, or below 0")
    return frechet.Gaussian.of_moments(mean, covariance)


def write_statistics(path: Path, gaussian: frechet.Gaussian) -> None:
    """Write a Gaussian as pytorch-fid does: an .npz with `mu` (d,) and `sigma` (d, d), float64."""
    mean, covariance = gaussian.moments()
    write_npz(path, **{MEAN: mean, COVARIANCE: covariance})


def compute_statistics(reference: Reference, extractor: Part) -> frechet.Gaussian:
    """Return the Gaussian of a reference's features.

    Raises:
        LtdmError: There are fewer than two images.
    """
    _, file = reference.extract_features(extractor)
    features = metrics_stage.read_features(file).sample.features
    if len(features) < 2:
        raise LtdmError(f"{reference.file} holds one image, and a covariance needs two")
    return frechet.Gaussian(features)


def run(
    images: Path, reference: Path, extractor: Part, metrics: Sequence[Part], cache_dir: Path
) -> tuple[pd.DataFrame, Path]:
    """Score a set of images against precomputed statistics or features, as `score.run` does.

    All images together are one group: the reference has no classes.

    Raises:
        LtdmError: The reference is bad, does not suit the extractor, or a metric needs more of it.
    """
    is_features = reference.suffix == ".npy"
    _check_metrics(metrics, reference, is_features)
    image_set = image_sets.read_images(images)
    image_set = image_set._replace(labels=np.full_like(image_set.labels, -1))
    folder = store_images(cache_dir / images.resolve().stem, image_set, IMAGES)
    home = cache_dir / f"reference-{sha256(reference)[:12]}"
    weights, _ = prepare_weights(extractor, home, folder / IMAGES, has_labels=False)
    generated = extract_features(extractor, folder, weights)
    output = folder / f"against-{home.name}"
    origin = {"images": str(images), "reference": str(reference)}
    if is_features:
        real, counts = _store_features(reference, home, extractor, generated)
        inputs, grouping = {extractor.label: (real, generated)}, {"kinds": ["all"]}
        frames = [compute_metric(m, inputs, grouping, counts, output, origin) for m in metrics]
        rows = pd.concat(frames, ignore_index=True).drop(columns=metrics_stage.SAMPLING_COLUMNS)
    else:
        values = _distance_rows(
            metrics, read_statistics(reference), extractor, generated, reference
        )
        rows = pd.DataFrame(values).assign(**origin)[[*origin, *metrics_stage.VALUE_COLUMNS]]
    write_rows(rows, output / "metrics.csv")
    return rows, output / "metrics.csv"


def _check_metrics(metrics: Sequence[Part], reference: Path, is_features: bool) -> None:
    """Raise LtdmError for a metric that needs more than the file has."""
    held = "features" if is_features else "a mean and a covariance of features"
    for metric in metrics:
        if not _is_usable(metric, reference):
            raise LtdmError(
                f"{metric.name} cannot be computed from {reference}, which holds {held}; name the"
                " reference's images, or leave the metric out"
            )
        if not is_features and metric.options.extrapolate != "generated":
            raise LtdmError(
                f"{metric.name} extrapolates over both sets, but {reference} holds {held}; name"
                " the reference's images, or use `extrapolate: generated`"
            )


def _store_features(
    reference: Path, home: Path, extractor: Part, generated: Path
) -> tuple[Path, Path]:
    """Write a reference's features as a file of ltdm, and its counts.csv; return both paths."""
    with explain_read_errors(reference, ".npy of features", is_result=False):
        features = np.load(reference, allow_pickle=False)
    if not len(features):
        raise LtdmError(f"{reference} holds no features; write it again")
    if features.dtype.kind != "f" or not np.isfinite(features).all():
        raise LtdmError(f"{reference}: features must be finite floating-point numbers")
    _check_length(features.shape[1], extractor, generated, reference)
    counts, real = home / "counts.csv", home / f"features/{extractor.label}.npz"
    write_text(counts, pd.DataFrame({"train": [len(features)]}).to_csv(index=False))
    (about,) = read_npz(generated, "about")  # of the same extractor, as the user says
    labels = np.full(len(features), -1)
    write_npz(real, features=features.astype(np.float32), labels=labels, about=about)
    return real, counts


def _distance_rows(
    metrics: Sequence[Part],
    gaussian: frechet.Gaussian,
    extractor: Part,
    generated: Path,
    reference: Path,
) -> list[dict[str, object]]:
    """Return the rows of the Frechet distances from a Gaussian."""
    sample, rows = metrics_stage.read_features(generated).sample, list[dict[str, object]]()
    _check_length(len(gaussian.mean), extractor, generated, reference)
    n, d = sample.features.shape
    if n < frechet.min_images(frechet.Options()):
        raise LtdmError(f"{generated} holds one image, and a covariance needs two")
    note = "" if frechet.enough_images(n, d, 1, frechet.Options()) else FEW_IMAGES
    for metric in metrics:
        ids = {"extractor": extractor.label, "options": metric.options_text, "group": "all"}
        for name, estimate in frechet.score_against(gaussian, sample).items():
            sizes = {"n_real": np.nan, "n_generated": n, "note": note}
            value = {"metric": value_name(metric, name), **estimate._asdict()}
            rows.append({**ids, **value, **sizes})
    return rows


def _check_length(length: int, extractor: Part, generated: Path, reference: Path) -> None:
    """Raise LtdmError unless the reference's features are as long as the extractor's."""
    own = metrics_stage.read_features(generated).sample.features.shape[1]
    if own != length:
        raise LtdmError(
            f"{reference} is of {length} features, but {extractor.label} gives {own}; name the"
            " extractor that it was made with: --extractor"
        )
