"""Dispersion of the bottleneck: all images of a batch repel each other, whatever their class.

With z_i the bottleneck of image i, of D numbers,

    L = |F - F*|^2 + weight log mean_ij exp( -|z_i - z_j|^2 / (D temperature) ),

where i and j run over all images, also i = j. It needs no labels: a control for `coral` and for
CCUA's contrast, which tells what their repulsion does without classes.
Source: Wang and He, "Diffuse and Disperse: Image Generation with Representation Regularization",
2025, the form with squared distances; there on an inner layer of a transformer.

Cost: no network evaluation; one product of B x D matrices.

Released code: CCUA's SiT has it as a baseline, with weight 0.25 and temperature 1.
"""

import math
from dataclasses import dataclass

from torch import Tensor

from ltdm.methods._base import (
    NO_EVALUATIONS,
    Batch,
    NetworkEvaluations,
    NoisyBatch,
    Prediction,
    Query,
    Term,
)
from ltdm.methods._generators import Generators
from ltdm.plumbing.options import option

CITATION = """@article{wang2025diffuse,
  title={Diffuse and Disperse: Image Generation with Representation Regularization},
  author={Wang, Runqian and He, Kaiming}, journal={arXiv:2506.09027}, year={2025}}"""


@dataclass(frozen=True)
class Options:
    """Weight and temperature of the loss."""

    weight: float = option(0.5, "Weight of the loss.", low=0)
    temperature: float = option(
        1.0, "Temperature, in units of the bottleneck's mean squared difference.", above=0
    )


def evaluations(options: Options, classes: int) -> NetworkEvaluations:
    """Return the network evaluations per image that the term adds: none."""
    return NO_EVALUATIONS


def build(options: Options, class_counts: list[int]) -> Term:
    """Build the term."""
    return Dispersive(options) if options.weight else Term()


class Dispersive(Term):
    """The term."""

    def __init__(self, options: Options):
        super().__init__()
        self.options = options

    def query(self, noisy: NoisyBatch, batch: Batch, rng: Generators) -> Query:
        """Ask for the batch's own bottleneck, without a further evaluation."""
        return Query(None, outputs="z")

    def extra_losses(
        self, noisy: NoisyBatch, own: Prediction, query: Query, other: Prediction
    ) -> dict[str, Tensor]:
        """Return `dispersion` (B,), equal for all images and at most 0."""
        z = own.z
        squares = z.square().sum(1)
        distances = (squares[:, None] + squares - 2 * z @ z.T).clamp(min=0)
        logits = -distances / (z.shape[1] * self.options.temperature)
        value = logits.flatten().logsumexp(0) - 2 * math.log(len(z))
        return {"dispersion": self.options.weight * value.expand(len(z))}
