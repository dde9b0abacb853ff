"""The metrics as functions of arrays, without the workflow: what its tables hold for all images.

    from ltdm.api import frechet_distance
    distance = frechet_distance(real, fake)
    print(distance.value, distance.error)

`real` and `fake` are features: finite floating-point arrays, (N, d) and (M, d). The standard error
of a value is over the generated images; if `labels`, (M,), give their classes, it is at a fixed
number of images per class, as sample sets have it. Every function raises LtdmError for arrays that
are no features of the same length, for too few images, and for an option out of its range.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ltdm.metrics import frechet as frechet_module
from ltdm.metrics import inception_score as inception_module
from ltdm.metrics import kid as kid_module
from ltdm.metrics import prd as prd_module
from ltdm.metrics import precision_recall as neighbours_module
from ltdm.metrics._base import Estimate, MetricModule, Sample
from ltdm.metrics._numbers import LARGEST, are_finite
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.options import parse

__all__ = [
    "Estimate",
    "frechet_distance",
    "frechet_infinity",
    "inception_score",
    "kernel_distance",
    "prd",
    "precision_recall",
]


def frechet_distance(real: ArrayLike, fake: ArrayLike, labels: ArrayLike | None = None) -> Estimate:
    """Return the squared Frechet distance of two Gaussians; of Inception's features the FID.

    Source: Heusel et al., NeurIPS 2017, equation 6. It is computed in float64.
    """
    return _score(frechet_module, real, fake, labels)["frechet"]


def frechet_infinity(
    real: ArrayLike, fake: ArrayLike, labels: ArrayLike | None = None, both: bool = False
) -> Estimate:
    """Return the limit of the distance for infinitely many generated images, or of `both` sets.

    NaN for fewer than eight images. Source: Chong and Forsyth, CVPR 2020, section 4.
    """
    extrapolate = "both" if both else "generated"
    return _score(frechet_module, real, fake, labels, extrapolate=extrapolate)["frechet-infinity"]


def kernel_distance(
    real: ArrayLike,
    fake: ArrayLike,
    labels: ArrayLike | None = None,
    subsets: int = 100,
    subset_size: int = 1000,
) -> Estimate:
    """Return the unbiased squared MMD with the cubic kernel; of Inception's features the KID.

    It is the mean over `subsets` random subsets of `subset_size` images of each set.
    Source: Binkowski et al., ICLR 2018.
    """
    return _score(kid_module, real, fake, labels, subsets=subsets, subset_size=subset_size)["kid"]


def precision_recall(
    real: ArrayLike, fake: ArrayLike, labels: ArrayLike | None = None, k: int = 3
) -> dict[str, Estimate]:
    """Return `precision`, `recall`, `density` and `coverage` by balls of the k-th neighbour.

    Sources: Kynkaanniemi et al., NeurIPS 2019; Naeem et al., ICML 2020.
    """
    return _score(neighbours_module, real, fake, labels, k=k)


def prd(
    real: ArrayLike,
    fake: ArrayLike,
    labels: ArrayLike | None = None,
    clusters: int = 20,
    num_clusterings: int = 10,
) -> dict[str, Estimate]:
    """Return `prd-f8` (weights recall) and `prd-f1/8` (weights precision) of the PRD curve.

    `clusters` is the number of all clusters. Source: Sajjadi et al., NeurIPS 2018.
    """
    options = {"clusters": clusters, "num_clusterings": num_clusterings}
    return _score(prd_module, real, fake, labels, **options)


def inception_score(
    probabilities: ArrayLike, labels: ArrayLike | None = None, splits: int = 10
) -> Estimate:
    """Return the Inception score from class probabilities (M, K), whose rows sum to 1.

    Source: Salimans et al., NeurIPS 2016.
    """
    p = _features("probabilities", probabilities)
    if p.min() < 0 or not np.allclose(p.sum(1), 1, atol=1e-3):
        raise LtdmError("the rows of probabilities must be at least 0 and sum to 1")
    sample = Sample(p, _labels(labels, len(p)), p)
    return _estimates(inception_module, sample, sample, splits=splits)["inception-score"]


def _score(
    module: MetricModule, real: ArrayLike, fake: ArrayLike, labels: ArrayLike | None, **options: Any
) -> dict[str, Estimate]:
    """Check both sets and return a metric's values."""
    x, y = _features("real", real), _features("fake", fake)
    if x.shape[1] != y.shape[1]:
        raise LtdmError(
            f"real has {x.shape[1]} features and fake {y.shape[1]}; take both from one extractor"
        )
    common = np.result_type(x, y)
    x, y = x.astype(common, copy=False), y.astype(common, copy=False)
    samples = Sample(x, np.zeros(len(x), np.int64)), Sample(y, _labels(labels, len(y)))
    return _estimates(module, *samples, **options)


def _estimates(
    module: MetricModule, real: Sample, fake: Sample, **options: Any
) -> dict[str, Estimate]:
    """Return a metric's values of sets that are large enough."""
    plain = {k: int(v) if isinstance(v, np.integer) else v for k, v in options.items()}
    parsed = parse(module.Options, plain)
    n, least = min(len(real.labels), len(fake.labels)), module.min_images(parsed)
    if n < least:
        raise LtdmError(f"a set has {n} images, and {least} are needed; give more")
    return module.score(real, fake, parsed)


def _features(name: str, values: ArrayLike) -> np.ndarray:
    """Return an array (N, d) of finite numbers of a usual size, float32 or float64."""
    array = _array(name, values)
    if array.ndim != 2 or array.dtype.kind != "f" or not array.size:
        raise LtdmError(
            f"{name} must be a floating-point array of shape (N, d), not {array.dtype}"
            f" {array.shape}"
        )
    if not are_finite(array):
        raise LtdmError(
            f"{name} must hold finite numbers below {LARGEST:g}; check where they come from"
        )
    return array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)


def _labels(labels: ArrayLike | None, n: int) -> np.ndarray:
    """Return labels as int64 (n,), zeros by default; LtdmError for others."""
    array = np.zeros(n, np.int64) if labels is None else _array("labels", labels)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise LtdmError(
            f"labels must hold one whole number for each of {n} images, not {array.dtype}"
            f" {array.shape}"
        )
    return array.astype(np.int64)


def _array(name: str, values: ArrayLike) -> np.ndarray:
    """Return what numpy makes of values; LtdmError if it makes nothing of them."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise LtdmError(f"{name} is no array that numpy can read; convert it to one") from error
