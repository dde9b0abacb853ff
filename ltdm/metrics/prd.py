"""Precision and recall for distributions (PRD), as F_8 and F_1/8 of histograms over clusters.

Both sets together are clustered by k-means. With p the real and q the generated histogram,

    alpha(l) = sum_k min(l p_k, q_k)    beta(l) = alpha(l) / l    for 1001 slopes l

are precision and recall, averaged over ten clusterings. The score is the maximum over l of
F_b = (1 + b^2) alpha beta / (b^2 alpha + beta). `prd-f8` emphasises recall, `prd-f1/8` precision;
many tables swap the two. The larger set is subsampled to the size of the smaller one, as the
definition requires.
Source: Sajjadi et al., "Assessing Generative Models via Precision and Recall", NeurIPS 2018,
equations 7 and 8 and section 4.
"""

from dataclasses import dataclass

import numpy as np

from ltdm.core.seeding import derive_seed
from ltdm.metrics._base import Estimate, Sample
from ltdm.plumbing.options import option
from ltdm.plumbing.progress import Progress

CITATION = """@inproceedings{sajjadi2018assessing,
  title={Assessing Generative Models via Precision and Recall},
  author={Sajjadi, Mehdi S. M. and Bachem, Olivier and Lucic, Mario and Bousquet, Olivier and
    Gelly, Sylvain}, booktitle={NeurIPS}, year={2018}}"""
HIGHER_IS_BETTER = {"prd-f8": True, "prd-f1/8": True}
INPUT = "features"
SLOPES = np.tan(np.linspace(1e-10, np.pi / 2 - 1e-10, 1001))
BETAS = {"prd-f8": 8.0, "prd-f1/8": 1 / 8}
BOOTSTRAP_DRAWS = 100
MIN_PER_CLUSTER = 10  # images per cluster and set; with fewer, histograms are noisy: rows flagged


@dataclass(frozen=True)
class Options:
    """The clusterings."""

    clusters: int = option(20, "Clusters per class in the group.", low=1)
    num_clusterings: int = option(10, "Number of clusterings to average over.", low=1)


def min_images(options: Options) -> int:
    """Return the smallest number of images in a set: one per cluster of one class."""
    return options.clusters


def enough_images(n: int, d: int, classes: int, options: Options) -> bool:
    """Whether n images of `classes` classes fill their clusters."""
    return n >= MIN_PER_CLUSTER * options.clusters * classes


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return the two scores of the features.

    Their standard errors are from a bootstrap with BOOTSTRAP_DRAWS draws, not in closed form: F is
    largest at a corner of alpha, where it has no derivative.
    """
    n = min(len(real.features), len(fake.features))
    real_rows, fake_rows = (_subsample_rows(len(s.features), n) for s in (real, fake))
    points = np.concatenate([real.features[real_rows], fake.features[fake_rows]])
    clusters = min(options.clusters * len(np.unique(real.labels)), n)
    assignments = []  # of the real and of the generated images to clusters, per clustering
    with Progress("prd", options.num_clusterings, "clusterings") as progress:
        for run in range(options.num_clusterings):
            labels = _cluster(points, clusters, derive_seed("prd clusters", run) % 2**32)
            assignments.append(np.split(labels, [n]))
            progress.advance()
    p = [np.bincount(real_part, minlength=clusters) / n for real_part, _ in assignments]

    def scores(weights: np.ndarray) -> np.ndarray:
        q = [np.bincount(fake_part, weights, clusters) / n for _, fake_part in assignments]
        return f_scores(p, q)

    rng = np.random.default_rng(derive_seed("prd bootstrap"))
    labels = fake.labels[fake_rows]
    resampled = [scores(_bootstrap_weights(labels, rng)) for _ in range(BOOTSTRAP_DRAWS)]
    values, errors = scores(np.ones(n)), np.std(resampled, axis=0, ddof=1)
    pairs = zip(values.tolist(), errors.tolist(), strict=True)
    return {name: Estimate(*pair) for name, pair in zip(BETAS, pairs, strict=True)}


def f_scores(p: list[np.ndarray], q: list[np.ndarray]) -> np.ndarray:
    """Return F_8 and F_1/8, shape (2,), of real and generated histograms, (K,) per clustering."""
    pairs = zip(p, q, strict=True)
    alpha = np.mean([np.minimum(SLOPES[:, None] * a, b).sum(1) for a, b in pairs], axis=0)
    precision, recall = alpha.clip(max=1), (alpha / SLOPES).clip(max=1)
    beta2 = np.square(list(BETAS.values()))[:, None]
    f = (1 + beta2) * precision * recall / (beta2 * precision + recall + 1e-10)
    return f.max(axis=1)


def _bootstrap_weights(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Resample the images of each class; return how often each image is drawn, shape (n,)."""
    weights = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        weights[members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)))
    return weights


def _subsample_rows(size: int, n: int) -> slice | np.ndarray:
    """Return n random row numbers of a set of this size; all rows if it has n."""
    rng = np.random.default_rng(derive_seed("prd"))
    return slice(None) if size == n else rng.choice(size, n, replace=False)


def _cluster(points: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Return the cluster of each point, by mini-batch k-means, shape (N,)."""
    from sklearn.cluster import MiniBatchKMeans

    return MiniBatchKMeans(clusters, n_init=10, random_state=seed).fit_predict(points)
