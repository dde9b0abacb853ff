"""Benchmark of scoring, on synthetic features like Inception's, of any number and dimension."""

import math
import time
import warnings
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from scipy import linalg
from torchvision.models import Inception3

from ltdm.core.device import pick_device
from ltdm.core.seeding import derive_seed
from ltdm.features import random_inception
from ltdm.features._inception import import_pytorch_fid
from ltdm.metrics import frechet, kid, prd, precision_recall
from ltdm.metrics._base import Sample
from ltdm.metrics._nearest_train import find_nearest
from ltdm.tools.bench_runs import process_peak

TURNS = 4  # times that our network and pytorch-fid's alternate
IMAGES_PER_CLASS = 500
CLASSES = 10
IMAGE_SHAPE = 3, 32, 32
LOOKUP_SHARE = 0.1 * 65_536 / 50_000
"""Images to look up per training image: a tenth of the 65,536 that IET-AGC generates."""
METRICS = {"kid": kid, "precision-recall": precision_recall, "frechet": frechet, "prd": prd}
Moments = tuple[np.ndarray, np.ndarray]
"""Mean (d,) and covariance (d, d)."""


class InceptionTimer:
    """A stand-in for `Inception3.forward` that adds up its seconds; exact on a CPU only."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.original = Inception3.forward

    def forward(self, network: Inception3, x: torch.Tensor) -> Any:
        """Run the network and add the time it takes."""
        seconds, result = _time_call(self.original, network, x)
        self.seconds += seconds
        return result


def run(
    num_images: int, feature_dim: int, num_classes: int, inception_images: int
) -> dict[str, Any]:
    """Time the metrics, the extractor, and the Frechet distance beside SciPy's square root.

    Each set has `num_images` vectors of `feature_dim` features. `num_classes` class-wise distances
    are of IMAGES_PER_CLASS images each. The extractor is timed on `inception_images` images.
    Results are in seconds (`_s`), images per second (`_images_per_s`) and GB (`_peak_gb`).
    """
    device = pick_device()
    real, fake = (_sample(num_images, feature_dim, seed, CLASSES) for seed in range(2))
    result: dict[str, Any] = {
        "num_images": num_images,
        "feature_dim": feature_dim,
        "device": str(device),
    }
    result |= _time_frechet(real.features, fake.features)
    result |= _time_classes(feature_dim, num_classes)
    result |= _time_inception(device, inception_images)
    for name, metric in METRICS.items():
        result[f"{name}_s"] = _time_call(metric.score, real, fake, metric.Options())[0]
        result[f"{name}_peak_gb"] = process_peak() / 1e9
    return result | _time_memorization(num_images)


def _time_classes(d: int, num_classes: int) -> dict[str, float]:
    """Time class-wise Frechet distances alone, and complete scores with their errors."""
    n = IMAGES_PER_CLASS
    pairs = [(_sample(n, d, 2 * c, 1), _sample(n, d, 2 * c + 1, 1)) for c in range(num_classes)]
    distances = (
        frechet.distance(frechet.Gaussian(x.features), frechet.Gaussian(y.features))
        for x, y in pairs
    )
    scores = (frechet.score(x, y, frechet.Options()) for x, y in pairs)
    seconds, score_seconds = (_time_call(list, work)[0] for work in (distances, scores))
    return {"num_classes": num_classes, "classes_s": seconds, "classes_whole_s": score_seconds}


def _sample(n: int, d: int, seed: int, classes: int) -> Sample:
    return Sample(synthetic_features(n, d, seed), np.arange(n) % classes)


def synthetic_features(n: int, d: int, seed: int) -> np.ndarray:
    """Return correlated, non-negative features, float32 (n, d)."""
    rng = np.random.default_rng(derive_seed("features like", seed))
    mixing = np.random.default_rng(0).standard_normal((d, d), dtype=np.float32)
    mixing *= np.exp(-np.arange(d, dtype=np.float32) * 6 / d)[:, None] / np.sqrt(np.float32(d))
    return np.maximum(rng.standard_normal((n, d), dtype=np.float32) @ mixing + 0.3, 0)


def _time_frechet(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Time the moments and the distance between them, by ltdm and by NumPy and SciPy."""
    gaussian_s, gaussians = _time_call(lambda: [frechet.Gaussian(s) for s in (x, y)])
    distance_s, distance = _time_call(frechet.distance, *gaussians)
    numpy_s, moments = _time_call(lambda: [_numpy_moments(s) for s in (x, y)])
    sqrtm_s, sqrtm_distance = _time_call(frechet_by_sqrtm, *moments)
    return {
        "statistics_s": gaussian_s,
        "distance_s": distance_s,
        "numpy_statistics_s": numpy_s,
        "sqrtm_distance_s": sqrtm_s,
        "distance_ratio": sqrtm_s / distance_s,
        "distance_difference": abs(distance - sqrtm_distance) / sqrtm_distance,
    }


def _numpy_moments(x: np.ndarray) -> Moments:
    return x.mean(axis=0, dtype=np.float64), np.cov(x.astype(np.float64), rowvar=False)


def frechet_by_sqrtm(first: Moments, second: Moments) -> float:
    """Return the Frechet distance by SciPy's square root of the covariances' product.

    pytorch-fid and most other codes compute it so.
    """
    (mean, covariance), (other_mean, other_covariance) = first, second
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = linalg.sqrtm(covariance @ other_covariance)
    traces = np.trace(covariance) + np.trace(other_covariance) - 2 * np.trace(root).real
    return float(np.square(mean - other_mean).sum() + traces)


def _time_inception(device: torch.device, num_images: int) -> dict[str, float]:
    """Time our extractor and pytorch-fid's network, which takes batches of 50, alternating."""
    options, nothing = random_inception.Options(), np.zeros((1, *IMAGE_SHAPE), np.uint8)
    weights, metadata = random_inception.prepare(options, nothing, np.zeros(1, np.int64), device)
    extract = random_inception.load(options, weights, metadata, device)
    with patch.object(import_pytorch_fid(), "load_state_dict_from_url", return_value=weights):
        net = import_pytorch_fid().InceptionV3().to(device).eval()

    @torch.inference_mode()
    def extract_by_pytorch_fid(images: np.ndarray) -> None:
        for batch in torch.from_numpy(images).split(50):
            net(batch.to(device).float() / 255)[0].cpu()

    images = np.random.default_rng(0).integers(0, 256, (num_images, *IMAGE_SHAPE), dtype=np.uint8)
    extract(images[:8]), extract_by_pytorch_fid(images[:8])
    timer, seconds, pytorch_fid_seconds = InceptionTimer(), 0.0, 0.0
    for part in np.array_split(images, TURNS):
        with patch.object(Inception3, "forward", lambda network, x: timer.forward(network, x)):
            seconds += _time_call(extract, part)[0]
        pytorch_fid_seconds += _time_call(extract_by_pytorch_fid, part)[0]
    return {
        "inception_images": num_images,
        "inception_images_per_s": num_images / seconds,
        "inception_inside": timer.seconds / seconds,
        "pytorch_fid_images_per_s": num_images / pytorch_fid_seconds,
    }


def _time_memorization(num_train: int) -> dict[str, float]:
    """Time the search for the 50 nearest of `num_train` random training images."""
    rng, num_images = np.random.default_rng(0), round(num_train * LOOKUP_SHARE)
    images, train = (
        rng.integers(0, 256, (n, *IMAGE_SHAPE), dtype=np.uint8) for n in (num_images, num_train)
    )
    seconds = _time_call(find_nearest, images, train, 50, False)[0]
    return {
        "memorisation_images": num_images,
        "memorisation_s": seconds,
        "memorisation_images_per_s": num_images / seconds,
        "memorisation_peak_gb": process_peak() / 1e9,
    }


def _time_call(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Return the seconds that a call takes, and its result."""
    start = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - start, result


def format_table(result: dict[str, Any]) -> str:
    """Return the measurements as text for a terminal."""
    n, d, num_classes = (result[key] for key in ("num_images", "feature_dim", "num_classes"))
    lines = [
        f"device: {result['device']}, {torch.get_num_threads()} threads on the host",
        f"means and covariances of two sets, {n} x {d}: {result['statistics_s']:.1f} s; by"
        f" numpy.cov {result['numpy_statistics_s']:.1f} s",
        f"Frechet distance between them: {result['distance_s']:.2f} s; by scipy.linalg.sqrtm"
        f" {result['sqrtm_distance_s']:.1f} s, {result['distance_ratio']:.1f} times as long; the"
        f" relative difference is {result['distance_difference']:.0e}",
        f"{num_classes} class-wise distances, {IMAGES_PER_CLASS} x {d}: {result['classes_s']:.1f}"
        f" s; with extrapolation and errors {result['classes_whole_s']:.1f} s",
        f"Inception, {result['inception_images']} images of 32 x 32:"
        f" {result['inception_images_per_s']:.1f} images/s, {result['inception_inside']:.1%} of"
        f" the time inside the network; pytorch-fid {result['pytorch_fid_images_per_s']:.1f}",
    ]
    for name in METRICS:
        lines.append(
            f"{name}, {n} x {n} x {d} in {CLASSES} classes: {result[f'{name}_s']:.1f} s; peak"
            f" memory of the process so far {result[f'{name}_peak_gb']:.2f} GB"
        )
    lines.append(
        f"memorization, {result['memorisation_images']} x {n} x {math.prod(IMAGE_SHAPE)} pixels:"
        f" {result['memorisation_s']:.1f} s, {result['memorisation_images_per_s']:.0f} images/s;"
        f" peak memory of the process so far {result['memorisation_peak_gb']:.2f} GB"
    )
    return "\n".join(lines)
