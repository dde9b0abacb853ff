"""References without images: the mean and covariance of features, or the features themselves.

The files are those of the field: an .npz with `mu` and `sigma`, as pytorch-fid writes it and CBDM,
IGD, EDM, clean-fid and ADM read it; and an .npy of features, one row per image.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltdm.external import images as image_sets
from ltdm.external.reference import Reference, prepare_weights, store_images
from ltdm.external.score import IMAGES, compute_metric, extract_features
from ltdm.metrics import frechet
from ltdm.metrics._base import check_inputs
from ltdm.metrics._numbers import LARGEST, are_finite
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors, read_npz, sha256, write_npz, write_text
from ltdm.plumbing.registry import Part, parse_part
from ltdm.reporting.rows import FEW_IMAGES, write_rows
from ltdm.stages import metrics as metrics_stage

MEAN, COVARIANCE = "mu", "sigma"
"""The names of both arrays in pytorch-fid's files."""
FEATURES, STATISTICS = "features", "statistics"
TOLERANCE = 1e-5  # of the largest eigenvalue, by which float32 may spoil a covariance


def kind_of(path: Path) -> str:
    """Return "statistics" or "features" for a file of either; "" for anything else."""
    if path.suffix not in (".npz", ".npy") or not path.is_file():
        return ""
    with explain_read_errors(path, "array file (.npz, .npy) of plain numbers", is_result=False):
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return FEATURES if loaded.ndim == 2 else ""
        with loaded:
            has_images = any(key in loaded for key in image_sets.IMAGE_KEYS)
            has_moments = MEAN in loaded or COVARIANCE in loaded
            return STATISTICS if has_moments and not has_images else ""


def pick_extractor(chosen: Sequence[Part], path: Path, kind: str) -> Part:
    """Return the one extractor that was chosen; of statistics, Inception by default.

    Raises:
        LtdmError: Several are chosen, none for a file of features, or one that learns classes.
    """
    if len(chosen) > 1 or (not chosen and kind == FEATURES):
        raise LtdmError(
            f"{path} was made with one extractor, and does not say which; name it: --extractor"
        )
    extractor = chosen[0] if chosen else parse_part("extractor", "inception", ())
    if extractor.module.PROBABILITIES == "classes":
        raise LtdmError(
            f"{extractor.name} learns the reference's classes, which {path} does not hold; choose"
            " another extractor"
        )
    return extractor


def usable_metrics(metrics: Sequence[Part], kind: str) -> tuple[Part, ...]:
    """Return the metrics that can be computed: of features many, of statistics `frechet` alone."""
    return tuple(metric for metric in metrics if _is_usable(metric, kind))


def _is_usable(metric: Part, kind: str) -> bool:
    reads_features = metric.module.INPUT == "features"
    return bool(reads_features and (kind == FEATURES or metric.name == "frechet"))


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
    mean, covariance = _finite(mean, path), _finite(covariance, path)
    symmetric = (covariance + covariance.T) / 2
    values = np.linalg.eigvalsh(symmetric)
    slack = TOLERANCE * np.abs(values).max()
    if np.abs(covariance - symmetric).max() > slack or values.min() < -slack:
        raise LtdmError(
            f"{path}: {COVARIANCE} is no covariance, since it is not symmetric or has eigenvalues"
            " below 0; write it again"
        )
    return frechet.Gaussian.of_moments(mean, covariance)


def _read_features(path: Path) -> np.ndarray:
    """Return the features of a file, float32 (N, d)."""
    with explain_read_errors(path, ".npy of features", is_result=False):
        features = np.load(path, allow_pickle=False)
    if not features.size:
        raise LtdmError(f"{path} holds no features; write it again")
    return _finite(features, path).astype(np.float32)


def _finite(array: np.ndarray, path: Path) -> np.ndarray:
    """Return an array in float64; LtdmError unless it holds finite floats of a usual size."""
    if not are_finite(array):
        raise LtdmError(
            f"{path} must hold finite floating-point numbers below {LARGEST:g}; write it again"
        )
    return array.astype(np.float64)


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
    kind = kind_of(reference)
    _check_metrics(metrics, extractor, reference, kind)
    real = read_statistics(reference) if kind == STATISTICS else _read_features(reference)
    image_set = image_sets.read_images(images)
    length = len(real.mean) if isinstance(real, frechet.Gaussian) else real.shape[1]
    _check_length(length, extractor, image_set.images.shape, reference)
    image_set = image_set._replace(labels=np.full_like(image_set.labels, -1))
    folder = store_images(cache_dir / images.resolve().stem, image_set, IMAGES)
    home = cache_dir / f"reference-{sha256(reference)[:12]}"
    weights, _ = prepare_weights(extractor, home, folder / IMAGES, has_labels=False)
    generated = extract_features(extractor, folder, weights)
    output = folder / f"against-{home.name}"
    origin = {"images": str(images), "reference": str(reference)}
    if isinstance(real, frechet.Gaussian):
        values = _distance_rows(metrics, real, extractor, generated)
        rows = pd.DataFrame(values).assign(**origin)[[*origin, *metrics_stage.VALUE_COLUMNS]]
    else:
        stored, counts = _store_features(real, home, extractor, generated)
        inputs, grouping = {extractor.label: (stored, generated)}, {"kinds": ["all"]}
        frames = [compute_metric(m, inputs, grouping, counts, output, origin) for m in metrics]
        rows = pd.concat(frames, ignore_index=True).drop(columns=metrics_stage.SAMPLING_COLUMNS)
    write_rows(rows, output / "metrics.csv")
    return rows, output / "metrics.csv"


def _check_metrics(metrics: Sequence[Part], extractor: Part, reference: Path, kind: str) -> None:
    """Raise LtdmError for a metric that needs more than the file has, or another extractor."""
    held = "features" if kind == FEATURES else "a mean and a covariance of features"
    for metric in metrics:
        if not _is_usable(metric, kind):
            raise LtdmError(
                f"{metric.name} cannot be computed from {reference}, which holds {held}; name the"
                " reference's images, or leave the metric out"
            )
        check_inputs(metric, [extractor])
        if kind == STATISTICS and metric.options.extrapolate != "generated":
            raise LtdmError(
                f"{metric.name} extrapolates over both sets, but {reference} holds {held}; name"
                " the reference's images, or use `extrapolate: generated`"
            )


def _store_features(
    features: np.ndarray, home: Path, extractor: Part, generated: Path
) -> tuple[Path, Path]:
    """Write a reference's features as a file of ltdm, and its counts.csv; return both paths."""
    counts, real = home / "counts.csv", home / f"features/{extractor.label}.npz"
    write_text(counts, pd.DataFrame({"train": [len(features)]}).to_csv(index=False))
    (about,) = read_npz(generated, "about")  # of the same extractor, as the user says
    write_npz(real, features=features, labels=np.full(len(features), -1), about=about)
    return real, counts


def _distance_rows(
    metrics: Sequence[Part], gaussian: frechet.Gaussian, extractor: Part, generated: Path
) -> list[dict[str, Any]]:
    """Return the rows of the Frechet distances from a Gaussian."""
    sample, rows = metrics_stage.read_features(generated).sample, list[dict[str, Any]]()
    n, d = sample.features.shape
    if n < frechet.min_images(frechet.Options()):
        raise LtdmError(f"{generated} holds one image, and a covariance needs two")
    note = "" if frechet.enough_images(n, d, 1, frechet.Options()) else FEW_IMAGES
    sizes = {"group": "all", "n_real": np.nan, "n_generated": n}
    for metric in metrics:
        columns = {"extractor": extractor.label, "options": metric.options_text, **sizes}
        estimates = frechet.score_against(gaussian, sample)
        rows += metrics_stage.estimate_rows(metric, estimates, note, columns)
    return rows


def _check_length(length: int, extractor: Part, shape: tuple[int, ...], reference: Path) -> None:
    """Raise LtdmError unless the reference's features are as long as those of images of a shape."""
    own = extractor.module.feature_dim(extractor.options, *shape[1:3])
    if own != length:
        raise LtdmError(
            f"{reference} is of {length} features, but {extractor.label} gives {own}; name the"
            " extractor that it was made with: --extractor"
        )
