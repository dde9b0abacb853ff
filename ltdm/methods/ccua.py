"""Contrastive unconditional images, and conditional predictions aligned with unconditional ones.

With h_u = F(x_t, t, no label) and z_u its bottleneck after the middle blocks, flattened and scaled
to norm 1,

    L = |F - F*|^2 + s(t) ( ucl CE_i(z_u z_u^T / kappa) + al |F - h_u|^2 ),

where CE_i is the cross-entropy of row i against i itself: in the batch, every image's bottleneck is
pushed away from every other's. s is the process's progress (t / T for `vp`). The alignment has no
stopped gradient and is for images with a label; the contrast is for all.
Source: Chen et al., "Contrastive Conditional-Unconditional Alignment for Long-tailed Diffusion
Model", 2025.

Cost: both branches go through the network as one batch. Without alignment the second branch stops
after the middle blocks.

Released code: a second pass always, also for a batch without labels; holds a tensor of B x (B - 1)
x D. Its batches follow `class_sampling: {brs: 0.1}`. The paper's SiT has its weight the wrong way
round.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
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
from ltdm.plumbing.options import option

CITATION = """@article{chen2025ccua,
  title={Contrastive Conditional-Unconditional Alignment for Long-tailed Diffusion Model},
  author={Chen, Fang and Villa, Alex and Liang, Gongbo and Lu, Xiaoyi and Tang, Meng},
  journal={arXiv:2507.09052}, year={2025}}"""


@dataclass(frozen=True)
class Options:
    """Weights of the two losses."""

    ucl: float = option(1.0, "Weight of the unconditional contrastive loss.", low=0)
    al: float = option(1.0, "Weight of the alignment loss.", low=0)
    kappa: float = option(0.1, "Temperature of the contrast.", above=0)


def evaluations(options: Options, classes: int) -> NetworkEvaluations:
    """Return the evaluations per image beyond its own one."""
    if options.al:
        return NetworkEvaluations(1, 1)
    return NetworkEvaluations(0, 0, 1) if options.ucl else NO_EVALUATIONS


def build(options: Options, class_counts: list[int]) -> Term:
    """Make the term."""
    return CCUA(options) if options.ucl or options.al else Term()


class CCUA(Term):
    """See the module."""

    needs_conditional_network = True

    def __init__(self, options: Options):
        super().__init__()
        self.options = options

    def query(self, noisy: NoisyBatch, batch: Batch, rng: Generators) -> Query:
        """Ask about every image without a label."""
        outputs = (
            "both" if self.options.ucl and self.options.al else "F" if self.options.al else "z"
        )
        return Query(torch.full_like(batch.labels, -1), outputs=outputs)

    def extra_losses(
        self, noisy: NoisyBatch, own: Prediction, query: Query, other: Prediction
    ) -> dict[str, Tensor]:
        """Return `contrast` and `align`, the latter zero where the label was dropped."""
        found, one = {}, self.options
        if one.ucl:
            found["contrast"] = one.ucl * noisy.progress * contrast(other.z, one.kappa)
        if one.al:
            found["align"] = one.al * noisy.progress * noisy.has_label * mse(own.F, other.F)
        return found


def contrast(z: Tensor, kappa: float) -> Tensor:
    """Return InfoNCE of each row with itself as the positive: z (B, d) to (B,)."""
    unit = nnf.normalize(z, dim=1)
    itself = torch.arange(len(z), device=z.device)
    return nnf.cross_entropy(unit @ unit.T / kappa, itself, reduction="none")
