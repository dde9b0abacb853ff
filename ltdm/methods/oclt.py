"""Oriented calibration: an image of a rare class may learn from a frequent one that looks the same.

Noise hides which image x_t came from. With c_i = x_t / signal = x_0,i + sigma eps_i and sigma the
noise to signal ratio, the batch's image j is as likely a source as

    W_ij = softmax_j( -|c_i - x_0,j|^2 / (2 sigma^2) ),    j* ~ W_i,

and the target is that of j*, at the same x_t and under the image's own label: L = |F(x_t, t, y_i) -
F*(x_0,j*, eps')|^2 with eps' = eps + (x_0,i - x_0,j*) / sigma. With `t2h` (tail to head) j* is
taken only where its class is at least as frequent as the image's own, with `h2t` at most as
frequent, with `full` always; else j* = i. `tr_tau` weighs W_ij by p(y_j)^tr_tau, where p is the
training frequency. Dropped labels change nothing here. The batch matters by design: it holds the
candidates.
Source: Zhang et al., "Long-tailed Diffusion Models with Oriented Calibration", ICLR 2024.

Cost: one product of B x D matrices beside the network's own evaluation.

Released code: holds two tensors of B x B x D; its `transfer_tr_tau` ignores the gate, which is
`mode: full` here; its `cut_time`, in steps, has no flag.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ltdm.diffusion._base import Process
from ltdm.methods._base import NO_EVALUATIONS, Batch, NetworkEvaluations, NoisyBatch, Term
from ltdm.methods._generators import Generators
from ltdm.plumbing.options import option

CITATION = """@inproceedings{zhang2024oclt,
  title={Long-tailed Diffusion Models with Oriented Calibration},
  author={Zhang, Tianjiao and Zheng, Huangjie and Yao, Jiangchao and Wang, Xiangfeng and
          Zhou, Mingyuan and Zhang, Ya and Wang, Yanfeng},
  booktitle={ICLR}, year={2024}}"""


@dataclass(frozen=True)
class Options:
    """Which targets may be taken over."""

    mode: str = option(
        "t2h",
        "From classes at least as frequent (`t2h`), at most as frequent (`h2t`), or any (`full`).",
        choices=("t2h", "h2t", "full"),
    )
    cut_time: float = option(
        1.0, "Progress (t / T) from which on no target is taken over.", low=0, high=1
    )
    tr_tau: float = option(
        0.0, "Exponent of the training frequency in the weights.", low=-10, high=10
    )


def evaluations(options: Options, classes: int) -> NetworkEvaluations:
    """Return the evaluations per image beyond its own one."""
    return NO_EVALUATIONS


def build(options: Options, class_counts: list[int]) -> Term:
    """Make the term for a training set with these class counts."""
    return OCLT(options, class_counts)


class OCLT(Term):
    """See the module."""

    frequency: Tensor

    def __init__(self, options: Options, class_counts: list[int]):
        super().__init__()
        self.options = options
        counts = torch.tensor(class_counts, dtype=torch.float64)
        self.register_buffer("frequency", counts / counts.sum(), persistent=False)

    def target(self, noisy: NoisyBatch, batch: Batch, process: Process, rng: Generators) -> Tensor:
        """Return the target of each image's drawn source."""
        x0, sigma = batch.x0, process.sigma(noisy.level)
        logits = self.source_logits(x0, noisy.noise, sigma, batch.classes)
        # Gumbel's trick: the largest of logits - log(exponential) is a draw from their softmax.
        draw = torch.empty_like(logits).exponential_(generator=rng.shared)
        chosen = (logits - draw.log()).argmax(1)
        itself = torch.arange(len(x0), device=x0.device)
        mine, other = self.frequency[batch.classes], self.frequency[batch.classes[chosen]]
        gate = {"t2h": other >= mine, "h2t": other <= mine, "full": other == other}
        accepted = gate[self.options.mode] & (noisy.progress < self.options.cut_time)
        taken = torch.where(accepted, chosen, itself)
        moved = (x0 - x0[taken]) / sigma.reshape(-1, *[1] * (x0.ndim - 1))
        return process.target(x0[taken], noisy.noise + moved, noisy.level)

    def source_logits(self, x0: Tensor, noise: Tensor, sigma: Tensor, classes: Tensor) -> Tensor:
        """Return log W up to a constant per row, (B, B): row i holds the sources of x_t,i."""
        images = x0.flatten(1)
        seen = images + sigma[:, None] * noise.flatten(1)
        # |c_i|^2 is the same along a row and drops out.
        near = (seen @ images.T - images.square().sum(1) / 2) / sigma.square()[:, None]
        weight = self.options.tr_tau * self.frequency.log()
        return near + weight.to(near.dtype)[classes]
