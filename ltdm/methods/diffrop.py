"""Overlap of classes: predictions of different classes are pushed apart, most at low noise.

`form: permute` pairs each image i with another one of the batch, pi(i), at its own noise level,

    L = |F - F*|^2 + weight / (1 + D),
    D = mean_i (1 - s_i) [y_i != y_pi(i)] |F_i - F_pi(i)|^2,

with pi a random permutation, y the true classes, and s the process's progress (t / T for `vp`).
`form: counterfactual` evaluates the same noisy image under another label y', drawn uniformly,

    L = |F - F*|^2 + weight max(0, margin - (1 - s) |F(x_t, t, y) - F(x_t, t, y')|^2),

for images whose label was not dropped. Squares are means over pixels.
Source: Yan et al., "Training Class-Imbalanced Diffusion Model Via Overlap Optimization", 2024,
whose idea is that the divergence of the denoising steps of two classes be large; between Gaussians
of one variance it is a multiple of |F - F'|^2, which falls with the noise. Its weights, margin and
negatives are in no source at hand: `counterfactual` is a reading of the idea, and `permute` is the
only code found, in CCUA's SiT, with its weight, 0.1. CCUA's published script leaves it switched on.

Cost: none (`permute`), or one more forward and backward pass, in one batch with the image's own
(`counterfactual`); with `stop_gradient` the second branch has no backward pass.

It is CBDM with the other sign and the opposite weight of the noise levels: this and `coral` push
classes apart, CBDM and CCUA's alignment pull them together. Without the margin the second form
would have no lower bound.

Paper's table: no source at hand has its numbers, seeds, or guidance, and no later paper runs it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ltdm.methods._base import (
    NO_EVALUATIONS,
    Batch,
    NetworkEvaluations,
    NoisyBatch,
    Prediction,
    Query,
    Term,
    mse,
)
from ltdm.methods._generators import Generators
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option

CITATION = """@article{yan2024overlap,
  title={Training Class-Imbalanced Diffusion Model Via Overlap Optimization},
  author={Yan, Divin and Qi, Lu and Hu, Vincent Tao and Yang, Ming-Hsuan and Tang, Meng},
  journal={arXiv:2402.10821}, year={2024}}"""


@dataclass(frozen=True)
class Options:
    """The form of the loss, and its weight."""

    form: str = option(
        "permute",
        "Predictions that are pushed apart: of two images of the batch (`permute`), or of one image"
        " under two labels (`counterfactual`).",
        choices=("permute", "counterfactual"),
    )
    weight: float = option(0.1, "Weight of the loss.", low=0)
    margin: float = option(
        0.1,
        "For `counterfactual`: mean squared difference, weighed by 1 - s, from which on nothing is"
        " pushed.",
        above=0,
    )
    stop_gradient: bool = option(
        False, "For `counterfactual`: the second label's prediction is a constant."
    )

    def __post_init__(self) -> None:
        """Refuse an option that its form does not have."""
        given = {"margin": self.margin != type(self).margin, "stop_gradient": self.stop_gradient}
        for name in given if self.form == "permute" else ():
            if given[name]:
                message = "is for `form: counterfactual`, and the form is permute; leave it out"
                raise OptionError((name,), message)


def evaluations(options: Options, classes: int) -> NetworkEvaluations:
    """Return the network evaluations per image that the term adds."""
    if options.form == "permute" or not options.weight:
        return NO_EVALUATIONS
    return NetworkEvaluations(1, 0 if options.stop_gradient else 1)


def build(options: Options, class_counts: list[int]) -> Term:
    """Build the term; OptionError if there are no two classes."""
    if not options.weight:
        return Term()
    if len(class_counts) < 2:
        message = "pushes classes apart, and the data set has only one; set it to 0"
        raise OptionError(("weight",), message)
    return DiffROP(options, len(class_counts))


class DiffROP(Term):
    """The term, for a number of classes."""

    def __init__(self, options: Options, classes: int):
        super().__init__()
        self.options, self.classes = options, classes
        self.needs_conditional_network = options.form == "counterfactual"
        if options.form == "counterfactual":  # the other form gives all images of a batch one loss
            self.log_by_class_group = ("overlap",)

    def query(self, noisy: NoisyBatch, batch: Batch, rng: Generators) -> Query:
        """Draw each image's partner, or query every image under another label."""
        u = torch.rand(len(batch.classes), generator=rng.shared, device=batch.classes.device)
        if self.options.form == "permute":
            return Query(None, partners=u.argsort())
        shift = 1 + (u * (self.classes - 1)).long().clamp(max=self.classes - 2)
        labels = (batch.classes + shift) % self.classes
        return Query(labels, gradient=not self.options.stop_gradient)

    def extra_losses(
        self, noisy: NoisyBatch, own: Prediction, query: Query, other: Prediction
    ) -> dict[str, Tensor]:
        """Return `overlap` (B,): equal for all images, or 0 where the label was dropped."""
        options, low_noise = self.options, 1 - noisy.progress
        if query.partners is not None:
            differs = noisy.classes != noisy.classes[query.partners]
            distance = (low_noise * differs * mse(own.F, own.F[query.partners])).mean()
            return {"overlap": (options.weight / (1 + distance)).expand(len(own.F))}
        hinge = (options.margin - low_noise * mse(own.F, other.F)).clamp(min=0)
        return {"overlap": options.weight * noisy.has_label * hinge}
