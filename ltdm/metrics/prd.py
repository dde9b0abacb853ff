"""Precision and recall for distributions (PRD), as F_8 and F_1/8 of histograms over clusters.

Both sets together are clustered by k-means; with p the real and q the generated histogram,

    alpha(l) = sum_k min(l p_k, q_k)    beta(l) = alpha(l) / l    for 1001 slopes l

are precision and recall, meaned over ten clusterings, and F_b = (1 + b^2) alpha beta / (b^2 alpha +
beta) is taken where it is largest. `prd-f8` weighs recall, `prd-f1/8` precision; many tables swap
the two. Sets of unequal size are cut to the smaller one, as the measure wants.
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
READS = "features"
SLOPES = np.tan(np.linspace(1e-10, np.pi / 2 - 1e-10, 1001))
BETAS = {"prd-f8": 8.0, "prd-f1/8": 1 / 8}
DRAWS = 100  # of the bootstrap
EACH = 10  # images per cluster and set: with fewer the histograms are noise and rows are flagged


@dataclass(frozen=True)
class Options:
    """The clusterings."""

    clusters: int = option(20, "Clusters for each class in the group.", low=1)
    num_clusterings: int = option(10, "Clusterings that the curves are meaned over.", low=1)


def least(options: Options) -> int:
    """Return the fewest images a set may have: an image a cluster of one class."""
    return options.clusters


def reliable(n: int, d: int, classes: int, options: Options) -> bool:
    """Whether n images of so many classes fill their clusters."""
    return n >= EACH * options.clusters * classes


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return the two scores of the features.

    Their standard errors are a bootstrap's that is drawn out: F is largest at a corner of alpha,
    where it has no derivative.
    """
    n = min(len(real.features), len(fake.features))
    kept_real, kept = (_fewer(len(s.features), n) for s in (real, fake))
    together = np.concatenate([real.features[kept_real], fake.features[kept]])
    clusters = min(options.clusters * len(np.unique(real.labels)), n)
    halves = []
    with Progress("clusterings", options.num_clusterings, "runs") as progress:
        for run in range(options.num_clusterings):
            labels = _clustered(together, clusters, derive_seed("prd clusters", run) % 2**32)
            halves.append(np.split(labels, [n]))
            progress.advance()
    p = [np.bincount(ours, minlength=clusters) / n for ours, _ in halves]

    def scored(weights: np.ndarray) -> np.ndarray:
        return f_scores(p, [np.bincount(theirs, weights, clusters) / n for _, theirs in halves])

    rng = np.random.default_rng(derive_seed("prd bootstrap"))
    again = [scored(_drawn(fake.labels[kept], rng)) for _ in range(DRAWS)]
    pairs = zip(scored(np.ones(n)).tolist(), np.std(again, axis=0, ddof=1).tolist(), strict=True)
    return {name: Estimate(*pair) for name, pair in zip(BETAS, pairs, strict=True)}


def f_scores(p: list[np.ndarray], q: list[np.ndarray]) -> np.ndarray:
    """Return F_8 and F_1/8 of real and generated histograms, a pair of shape (K,) a clustering."""
    alpha = np.mean(
        [np.minimum(SLOPES[:, None] * a, b).sum(1) for a, b in zip(p, q, strict=True)], axis=0
    )
    precision, recall = alpha.clip(max=1), (alpha / SLOPES).clip(max=1)
    beta2 = np.square(list(BETAS.values()))[:, None]
    f = (1 + beta2) * precision * recall / (beta2 * precision + recall + 1e-10)
    return f.max(axis=1)


def _drawn(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw as many images of each class anew; return how often each was drawn, shape (n,)."""
    times = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        times[members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)))
    return times


def _fewer(number: int, n: int) -> slice | np.ndarray:
    """Return the rows of a set of this number that are kept: all, or n at random."""
    rng = np.random.default_rng(derive_seed("prd"))
    return slice(None) if number == n else rng.choice(number, n, replace=False)


def _clustered(points: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Return each point's cluster."""
    from sklearn.cluster import MiniBatchKMeans

    return MiniBatchKMeans(clusters, n_init=10, random_state=seed).fit_predict(points)
