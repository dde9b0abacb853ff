"""Contrast of unconditional bottlenecks; alignment of conditional and unconditional predictions.

With h_u = F(x_t, t, no label) and z_u its bottleneck after the middle blocks, flattened and scaled
to norm 1,

    L = |F - F*|^2 + s(t) ( ucl CE_i(z_u z_u^T / kappa) + al |F - h_u|^2 ),

where CE_i is the cross-entropy of row i against class i: it pushes every image's bottleneck away
from those of the other images in the batch. s is the process's progress (t / T for `vp`). The
alignment stops no gradient and covers images with a label; the contrast covers all.
Source: Chen et al., "Contrastive Conditional-Unconditional Alignment for Long-tailed Diffusion
Model", 2025.

Cost: one more forward and backward pass, in one batch with the image's own. Without alignment the
second branch stops after the middle blocks.

Released code: drops the labels of all images of a batch at once (`train.label_dropout_per: batch`);
always makes the second pass, also for a batch without labels; needs a tensor of B x (B - 1) x D.
Its batches follow `class_sampling: {brs: 0.1, released: true}`, whose rounding gives the remainder
to the rarest class: of 100 classes it gets 2.6 times the stated probability. Its sampler may vary
the guidance with the noise level (`sample.guidance_schedule`). The paper's SiT applies the weight s
the wrong way round.

Paper's table: one seed, 42; the evaluation script has 10,000 images and DDIM in 100 steps. The
third version states FID 5.93 without and 5.56 with the method on CIFAR10-LT, where its batches are
drawn as usual (second-hand). The scripts of its SiT train with DiffROP's loss too.
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
    kappa: float = option(0.1, "Temperature of the contrastive loss.", above=0)


def evaluations(options: Options, classes: int) -> NetworkEvaluations:
    """Return the network evaluations per image that the term adds."""
    if options.al:
        return NetworkEvaluations(1, 1)
    return NetworkEvaluations(0, 0, 1) if options.ucl else NO_EVALUATIONS


def build(options: Options, class_counts: list[int]) -> Term:
    """Build the term."""
    return CCUA(options) if options.ucl or options.al else Term()


class CCUA(Term):
    """The term."""

    needs_conditional_network = True

    def __init__(self, options: Options):
        super().__init__()
        self.options = options

    def query(self, noisy: NoisyBatch, batch: Batch, rng: Generators) -> Query:
        """Query every image without a label: F for alignment, z for the contrast."""
        outputs = "F" if self.options.al else "z"
        if self.options.al and self.options.ucl:
            outputs = "both"
        return Query(torch.full_like(batch.labels, -1), outputs=outputs)

    def extra_losses(
        self, noisy: NoisyBatch, own: Prediction, query: Query, other: Prediction
    ) -> dict[str, Tensor]:
        """Return `contrast` and `align`, (B,) each; `align` is 0 where the label was dropped."""
        losses, options = {}, self.options
        if options.ucl:
            losses["contrast"] = options.ucl * noisy.progress * contrast(other.z, options.kappa)
        if options.al:
            losses["align"] = options.al * noisy.progress * noisy.has_label * mse(own.F, other.F)
        return losses


def contrast(z: Tensor, kappa: float) -> Tensor:
    """Return the InfoNCE loss (B,) of bottlenecks z (B, d), each row its own positive."""
    unit = nnf.normalize(z, dim=1)
    positives = torch.arange(len(z), device=z.device)
    return nnf.cross_entropy(unit @ unit.T / kappa, positives, reduction="none")
