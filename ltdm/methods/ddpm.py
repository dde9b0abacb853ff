"""Plain denoising.

    L = |F(x_t, t, y) - F*|^2

With the process `vp`, F predicts the noise, F* = eps, and this is DDPM's simple loss. Label dropout
(`train.label_dropout`) trains the unconditional branch that guidance needs.
Source: Ho et al., NeurIPS 2020, equation 14.

Released code: the same loss. CBDM's code and those derived from it drop the labels of all images of
a batch at once (`train.label_dropout_per: batch`). The network then does not use its label
embedding, whose gradient is None in PyTorch 2, not zero, so Adam makes no step on it. The option
does the same. Per image, the expectation of the gradient is equal and its variance smaller.
"""

from dataclasses import dataclass

from ltdm.methods._base import NO_EVALUATIONS, NetworkEvaluations, Term
from ltdm.plumbing.citations import HO2020

CITATION = HO2020


@dataclass(frozen=True)
class Options:
    """No options."""


def evaluations(options: Options, classes: int) -> NetworkEvaluations:
    """Return the network evaluations per image that the term adds: none."""
    return NO_EVALUATIONS


def build(options: Options, class_counts: list[int]) -> Term:
    """Build a term that adds nothing to the denoising loss."""
    return Term()
