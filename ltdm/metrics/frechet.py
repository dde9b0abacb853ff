"""Frechet distance between Gaussians fitted to two sets of features, in float64.

    d^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

It is called FID only with the Inception features; every other extractor is named beside it. With
few images for its dimensions the value is biased upward, by about the same for all runs: rows with
fewer than ten images a feature are flagged.
Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium", NeurIPS 2017, equation 6.

No square root of a product is taken, so nothing turns complex: the trace is the sum of square
roots of the eigenvalues of S1^(1/2) S2 S1^(1/2), and where either set has fewer images than
features the sum of singular values of A1 A2^T, with S = A^T A, which is exact and smaller.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

CITATION = """@inproceedings{heusel2017fid,
  title={GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium},
  author={Heusel, Martin and Ramsauer, Hubert and Unterthiner, Thomas and Nessler, Bernhard and
    Hochreiter, Sepp}, booktitle={NeurIPS}, year={2017}}"""
HIGHER_IS_BETTER = {"frechet": False}


@dataclass(frozen=True)
class Options:
    """None."""


def least(options: Options) -> int:
    """Return the fewest images a set may have: a variance needs two."""
    return 2


def reliable(n: int, d: int, options: Options) -> bool:
    """Whether n images in d dimensions leave little of the bias, which falls with d / n."""
    return n >= 10 * d


def score(real: np.ndarray, fake: np.ndarray, options: Options) -> dict[str, float]:
    """Return the squared distance between features (n, d) and (m, d)."""
    (mean1, a1), (mean2, a2) = _gaussian(real), _gaussian(fake)
    if len(a1) < a1.shape[1] or len(a2) < a2.shape[1]:
        overlap = linalg.svdvals(a1 @ a2.T).sum()
    else:
        values, vectors = linalg.eigh(a1.T @ a1)
        root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
        product = root @ (a2.T @ a2) @ root
        overlap = np.sqrt(linalg.eigvalsh(product).clip(min=0)).sum()
    traces = np.square(a1).sum() + np.square(a2).sum()
    return {"frechet": float(np.square(mean1 - mean2).sum() + traces - 2 * overlap)}


def _gaussian(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and A = (x - mean) / sqrt(n - 1), so that A^T A is the covariance."""
    mean = x.mean(axis=0)
    return mean, (x - mean) / np.sqrt(len(x) - 1)
