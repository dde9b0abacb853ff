"""Anti-gradient control: images that are fitted suspiciously well at their noise level are skipped.

A bank m holds a moving average of the denoising loss at each level. With the image's own loss l_i,

    keep_i = [ ratio l_i >= m[t_i] ],    L = sum keep_i l_i / max(1, sum keep_i),

and after it, for every image in the order of the batch, m[t_i] <- decay m[t_i] + (1 - decay) l_i.
The bank starts at zero, so nothing is skipped at first. Other terms of a skipped image are skipped
with it. It goes with any method but `igd`'s separate networks and released mode, where each class
has a loss of its own.
Source: Liu et al., ECCV 2024, IET-AGC; its other half, iterative ensemble training, is
`train.ensemble`, of which each shard keeps a bank of its own.

Cost: nothing beside the network's own evaluation; no loop and no wait for the device.

Released code: loops over the batch with a wait for the device at each image. The same values.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ltdm.methods._base import NO_EVALUATIONS, NetworkEvaluations, NoisyBatch, Term
from ltdm.plumbing.options import option

CITATION = """@inproceedings{liu2024ietagc,
  title={Iterative Ensemble Training with Anti-Gradient Control for Mitigating Memorization in
         Diffusion Models},
  author={Liu, Xiao and Guan, Xiaoliu and Wu, Yu and Miao, Jiaxu},
  booktitle={ECCV}, year={2024}}"""


@dataclass(frozen=True)
class Options:
    """When an image is skipped."""

    ratio: float = option(
        2.0, "An image is skipped where its loss, times this, is below the bank's.", above=0
    )
    decay: float = option(0.8, "Decay of the bank, a visit of its level.", low=0, high=0.999999)
    bins: int = option(
        1000, "Bins of levels that the bank tells apart; T of `vp`.", low=1, high=100_000
    )


def evaluations(options: Options, classes: int) -> NetworkEvaluations:
    """Return the evaluations per image beyond its own one."""
    return NO_EVALUATIONS


def build(options: Options, class_counts: list[int]) -> Term:
    """Make the term."""
    return AGC(options)


class AGC(Term):
    """See the module."""

    bank: Tensor

    def __init__(self, options: Options):
        super().__init__()
        self.options = options
        self.register_buffer("bank", torch.zeros(options.bins))

    def image_weights(self, noisy: NoisyBatch, denoise: Tensor) -> Tensor:
        """Return each image's weight, B / kept or 0, and update the bank."""
        bins, decay = self.options.bins, self.options.decay
        place = (noisy.progress * bins).round().long().clamp(max=bins - 1)
        keep = (self.options.ratio * denoise >= self.bank[place]).to(denoise.dtype)
        # As if the images came in a row: of several at one level, each fades with every later one.
        loss = denoise.to(self.bank.dtype)
        later = (place[:, None] == place).triu(1).sum(1)
        visits = torch.zeros_like(self.bank).index_add(0, place, torch.ones_like(loss))
        self.bank.mul_(decay**visits).index_add_(0, place, (1 - decay) * decay**later * loss)
        return keep * len(keep) / keep.sum().clamp(min=1)
