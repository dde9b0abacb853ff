"""What scoring costs, measured on features like Inception's, of any number and length."""

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
from ltdm.features._inception import library
from ltdm.metrics import frechet, kid, prd, precision_recall
from ltdm.metrics._base import Sample
from ltdm.metrics._nearest import nearest
from ltdm.tools.bench_runs import process_peak

TURNS = 4  # of ours and pytorch-fid's network
EACH = 500  # images of a class
CLASSES = 10
PIXELS = 3, 32, 32
TENTH = 0.1 * 65_536 / 50_000  # of the generated images a training image that IET-AGC looks up
METRICS = {"kid": kid, "precision-recall": precision_recall, "frechet": frechet, "prd": prd}
Statistics = tuple[np.ndarray, np.ndarray]


def run(images: int, length: int, classes: int, inception: int) -> dict[str, Any]:
    """Time the metrics, the extractor, and the Frechet distance beside SciPy's square root.

    Each set has `images` vectors of `length` features; there are `classes` class-wise distances, of
    500 images each; the extractor is timed on `inception` images.
    """
    device = pick_device()
    real, fake = (_sample(images, length, seed, CLASSES) for seed in range(2))
    found: dict[str, Any] = {"images": images, "length": length, "device": str(device)}
    found |= _frechet(real.features, fake.features)
    found |= _by_class(length, classes)
    found |= _inception(device, inception)
    for name, metric in METRICS.items():
        found[f"{name}_s"] = _timed(metric.score, real, fake, metric.Options())[0]
        found[f"{name}_peak_gb"] = process_peak() / 1e9
    return found | _memorisation(images)


def _by_class(d: int, classes: int) -> dict[str, float]:
    """Time the distances of single classes, and their whole scores."""
    pairs = [(_sample(EACH, d, 2 * c, 1), _sample(EACH, d, 2 * c + 1, 1)) for c in range(classes)]
    distances = (frechet.distance(frechet.Gaussian(x.features), frechet.Gaussian(y.features))
                 for x, y in pairs)  # fmt: skip
    scores = (frechet.score(x, y, frechet.Options()) for x, y in pairs)
    seconds, whole = (_timed(list, work)[0] for work in (distances, scores))
    return {"classes": classes, "classes_s": seconds, "classes_whole_s": whole}


def _sample(n: int, d: int, seed: int, classes: int) -> Sample:
    return Sample(features_like(n, d, seed), np.arange(n) % classes)


def features_like(n: int, d: int, seed: int) -> np.ndarray:
    """Return correlated features that are never negative, float32 (n, d)."""
    rng = np.random.default_rng(derive_seed("features like", seed))
    mixing = np.random.default_rng(0).standard_normal((d, d), dtype=np.float32)
    mixing *= np.exp(-np.arange(d, dtype=np.float32) * 6 / d)[:, None] / np.sqrt(np.float32(d))
    return np.maximum(rng.standard_normal((n, d), dtype=np.float32) @ mixing + 0.3, 0)


def _frechet(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Time the statistics and the distance between them, ours and as others take them."""
    ours_s, gaussians = _timed(lambda: [frechet.Gaussian(s) for s in (x, y)])
    distance_s, ours = _timed(frechet.distance, *gaussians)
    numpy_s, statistics = _timed(
        lambda: [(s.mean(axis=0, dtype=np.float64), np.cov(s.astype(np.float64), rowvar=False))
                 for s in (x, y)]
    )  # fmt: skip
    sqrtm_s, theirs = _timed(by_square_root, *statistics)
    return {
        "statistics_s": ours_s, "distance_s": distance_s, "numpy_statistics_s": numpy_s,
        "sqrtm_distance_s": sqrtm_s, "distance_ratio": sqrtm_s / distance_s,
        "distance_difference": abs(ours - theirs) / theirs,
    }  # fmt: skip


def by_square_root(one: Statistics, other: Statistics) -> float:
    """Return the distance as others take it: by SciPy's square root of the covariances' product."""
    (mean, covariance), (other_mean, other_covariance) = one, other
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = linalg.sqrtm(covariance @ other_covariance)
    traces = np.trace(covariance) + np.trace(other_covariance) - 2 * np.trace(root).real
    return float(np.square(mean - other_mean).sum() + traces)


def _inception(device: torch.device, images: int) -> dict[str, float]:
    """Time the extractor and pytorch-fid's own network, its batches of 50, in turns."""
    options, nothing = random_inception.Options(), np.zeros((1, *PIXELS), np.uint8)
    weights, about = random_inception.fit(options, nothing, np.zeros(1, np.int64), device)
    ours = random_inception.build(options, weights, about, device)
    with patch.object(library(), "load_state_dict_from_url", return_value=weights):
        net = library().InceptionV3().to(device).eval()

    @torch.inference_mode()
    def theirs(pixels: np.ndarray) -> None:
        for block in torch.from_numpy(pixels).split(50):
            net(block.to(device).float() / 255)[0].cpu()

    times, forward = {"ours": 0.0, "inside": 0.0, "theirs": 0.0}, Inception3.forward

    def inside(network: Inception3, x: torch.Tensor) -> Any:
        seconds, result = _timed(forward, network, x)  # exact on a CPU
        times["inside"] += seconds
        return result

    pixels = np.random.default_rng(0).integers(0, 256, (images, *PIXELS), dtype=np.uint8)
    ours(pixels[:8]), theirs(pixels[:8])
    for turn in np.array_split(pixels, TURNS):
        with patch.object(Inception3, "forward", inside):
            times["ours"] += _timed(ours, turn)[0]
        times["theirs"] += _timed(theirs, turn)[0]
    return {
        "inception_images": images,
        "inception_images_per_s": images / times["ours"],
        "inception_inside": times["inside"] / times["ours"],
        "pytorch_fid_images_per_s": images / times["theirs"],
    }


def _memorisation(train: int) -> dict[str, float]:
    """Time the search for the 50 nearest of some training images."""
    rng, made = np.random.default_rng(0), round(train * TENTH)
    images, known = (rng.integers(0, 256, (n, *PIXELS), dtype=np.uint8) for n in (made, train))
    seconds = _timed(nearest, images, known, 50, False)[0]
    return {
        "memorisation_images": made, "memorisation_s": seconds,
        "memorisation_images_per_s": made / seconds, "memorisation_peak_gb": process_peak() / 1e9,
    }  # fmt: skip


def _timed(work: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work(*given)
    return time.perf_counter() - started, result


def to_text(found: dict[str, Any]) -> str:
    """Write the figures for a terminal."""
    n, d, classes = (found[key] for key in ("images", "length", "classes"))
    return "\n".join(
        [
            f"device: {found['device']}, {torch.get_num_threads()} threads on the host",
            f"means and covariances of two times {n} x {d}: {found['statistics_s']:.1f} s; by"
            f" numpy.cov {found['numpy_statistics_s']:.1f} s",
            f"Frechet distance between them: {found['distance_s']:.2f} s; by scipy.linalg.sqrtm"
            f" {found['sqrtm_distance_s']:.1f} s, {found['distance_ratio']:.1f} times as long; they"
            f" differ by {found['distance_difference']:.0e} of it",
            f"{classes} distances of {EACH} x {d}: {found['classes_s']:.1f} s; with limits and"
            f" errors {found['classes_whole_s']:.1f} s",
            f"Inception, {found['inception_images']} images of 32 x 32:"
            f" {found['inception_images_per_s']:.1f} images/s, {found['inception_inside']:.1%} of"
            f" the time inside the network; pytorch-fid {found['pytorch_fid_images_per_s']:.1f}",
            *(
                f"{name}, {n} x {n} x {d} in {CLASSES} classes: {found[f'{name}_s']:.1f} s; the"
                f" process has peaked at {found[f'{name}_peak_gb']:.2f} GB"
                for name in METRICS
            ),
            f"memorization, {found['memorisation_images']} x {n} x {math.prod(PIXELS)} pixels:"
            f" {found['memorisation_s']:.1f} s, {found['memorisation_images_per_s']:.0f} images/s;"
            f" the process has peaked at {found['memorisation_peak_gb']:.2f} GB",
        ]
    )
