"""Anti-gradient control: a training step skips images that are fitted far too well at their level.

A bank m holds a moving average of the denoising loss per noise level. With the image's loss l_i,

    keep_i = [ ratio l_i >= m[t_i] ],    L = sum keep_i l_i / max(1, sum keep_i),

and afterwards, for every image in the order of the batch, m[t_i] <- decay m[t_i] + (1 - decay) l_i.
The bank starts at zero, so no image is skipped at first. All terms of a skipped image are skipped.
AGC combines with any method but `igd`'s separate networks and released mode, where each class has
its own loss.
Source: Liu et al., ECCV 2024, IET-AGC; its other half, iterative ensemble training, is
`train.ensemble`, where each shard has its own bank.

Cost: no network evaluation; no loop and no wait for the device.

Released code: loops over the batch and waits for the device at each image, with the same values.
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
    """Condition on which an image is skipped, and the bank."""

    ratio: float = option(
        2.0, "An image is skipped if its loss, times this, is below the bank's.", above=0
    )
    decay: float = option(0.8, "Decay of the bank per image at the level.", low=0, high=0.999999)
    bins: int = option(
        1000, "Noise levels that the bank distinguishes; T of `vp`.", low=1, high=100_000
    )


def evaluations(options: Options, classes: int) -> NetworkEvaluations:
    """Return the network evaluations per image that the term adds."""
    return NO_EVALUATIONS


def build(options: Options, class_counts: list[int]) -> Term:
    """Build the term."""
    return AGC(options)


class AGC(Term):
    """The term; its bank (bins,) is part of the training state."""

    bank: Tensor

    def __init__(self, options: Options):
        super().__init__()
        self.options = options
        self.register_buffer("bank", torch.zeros(options.bins))

    def image_weights(self, noisy: NoisyBatch, denoise: Tensor) -> Tensor:
        """Return the images' weights (B,), 0 or B over the number not skipped; advance the bank."""
        bins, decay = self.options.bins, self.options.decay
        index = (noisy.progress * bins).round().long().clamp(max=bins - 1)
        keep = (self.options.ratio * denoise >= self.bank[index]).to(denoise.dtype)
        # As if one image came after the other: each decays once per later image in the same bin.
        loss = denoise.to(self.bank.dtype)
        later = (index[:, None] == index).triu(1).sum(1)
        visits = torch.zeros_like(self.bank).index_add(0, index, torch.ones_like(loss))
        self.bank.mul_(decay**visits).index_add_(0, index, (1 - decay) * decay**later * loss)
        return keep * len(keep) / keep.sum().clamp(min=1)
