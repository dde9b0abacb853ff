"""Plain denoising.

    L = |F(x_t, t, y) - F*|^2

With the `vp` process F is the predicted noise, F* = eps, and this is DDPM's simple loss. Labels
that the trainer drops (`train.label_dropout`) teach the unconditional branch that guidance needs.
Source: Ho et al., NeurIPS 2020, equation 14.

Released code: the same loss. CBDM's and its heirs' drop the labels of a whole batch at once
(`train.label_dropout_per: batch`); by image the expectation is the same and the variance less.
"""

from dataclasses import dataclass

from ltdm.methods._base import NO_EVALUATIONS, NetworkEvaluations, Term
from ltdm.plumbing.citations import HO2020

CITATION = HO2020


@dataclass(frozen=True)
class Options:
    """None."""


def evaluations(options: Options, classes: int) -> NetworkEvaluations:
    """Return the evaluations per image beyond its own one."""
    return NO_EVALUATIONS


def build(options: Options, class_counts: list[int]) -> Term:
    """Make the term: the objective's own loss is all of it."""
    return Term()
