"""Oriented calibration: a rare class's image may take its target from a frequent class's image.

Several images can have led to one noisy image x_t. With c_i = x_t / signal = x_0,i + sigma eps_i
and sigma the ratio of noise to signal, image j of the batch is its source with probability

    W_ij = softmax_j( -|c_i - x_0,j|^2 / (2 sigma^2) ),    j* ~ W_i,

and the target is that of j*, at the same x_t and under the image's own label: L = |F(x_t, t, y_i) -
F*(x_0,j*, eps')|^2 with eps' = eps + (x_0,i - x_0,j*) / sigma. The mode `t2h` (tail to head)
accepts j* only if its class is at least as frequent as the image's own, `h2t` if at most as
frequent, `full` always; otherwise j* = i. `tr_tau` weights W_ij by p(y_j)^tr_tau, with p the
training frequency. The gate uses classes, so label dropout does not affect it. The result depends
on the batch by design, since the batch holds the candidates.
Source: Zhang et al., "Long-tailed Diffusion Models with Oriented Calibration", ICLR 2024.

Cost: no network evaluation; one product of B x D matrices.

Released code: needs two tensors of B x B x D; its `transfer_tr_tau` ignores the gate, which is
`mode: full` here; its `cut_time`, in noise levels, has no flag. Its sampling script leaves dropout
on, by mistake; ltdm samples without it.

Paper's table: guidance 1.5 and 100 steps of DDIM after 200,000 steps, from the README, which has no
numbers. The code sets no seed.
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
    """Images whose targets may be transferred."""

    mode: str = option(
        "t2h",
        "Source class: at least as frequent (`t2h`), at most as frequent (`h2t`), or any (`full`).",
        choices=("t2h", "h2t", "full"),
    )
    cut_time: float = option(
        1.0, "Progress (t / T) from which on no target is transferred.", low=0, high=1
    )
    tr_tau: float = option(
        0.0, "Exponent of the training frequency in the sources' weights.", low=-10, high=10
    )


def evaluations(options: Options, classes: int) -> NetworkEvaluations:
    """Return the network evaluations per image that the term adds: none."""
    return NO_EVALUATIONS


def build(options: Options, class_counts: list[int]) -> Term:
    """Build the term for a training set with these class counts."""
    return OCLT(options, class_counts)


class OCLT(Term):
    """The term; `frequency` (C,) is the share of each class in the training set."""

    frequency: Tensor

    def __init__(self, options: Options, class_counts: list[int]):
        super().__init__()
        self.options = options
        counts = torch.tensor(class_counts, dtype=torch.float64)
        self.register_buffer("frequency", counts / counts.sum(), persistent=False)

    def target(self, noisy: NoisyBatch, batch: Batch, process: Process, rng: Generators) -> Tensor:
        """Return the targets (B, C, H, W) of sources drawn from W, where the gate accepts them."""
        x0, sigma = batch.x0, process.sigma(noisy.level)
        logits = self.source_logits(x0, noisy.noise, sigma, batch.classes)
        # Gumbel-max: the argmax of logits - log(exponential) is distributed as their softmax.
        exponential = torch.empty_like(logits).exponential_(generator=rng.shared)
        candidate = (logits - exponential.log()).argmax(1)
        itself = torch.arange(len(x0), device=x0.device)
        own, other = self.frequency[batch.classes], self.frequency[batch.classes[candidate]]
        gate = {"t2h": other >= own, "h2t": other <= own, "full": other == other}
        transfer = gate[self.options.mode] & (noisy.progress < self.options.cut_time)
        source = torch.where(transfer, candidate, itself)
        noise_shift = (x0 - x0[source]) / sigma.reshape(-1, *[1] * (x0.ndim - 1))
        return process.target(x0[source], noisy.noise + noise_shift, noisy.level)

    def source_logits(self, x0: Tensor, noise: Tensor, sigma: Tensor, classes: Tensor) -> Tensor:
        """Return log W up to a constant per row, (B, B): row i holds the candidates for x_t,i.

        Images and noise are (B, C, H, W), sigma and classes (B,).
        """
        images = x0.flatten(1)
        c = images + sigma[:, None] * noise.flatten(1)
        # |c_i|^2 is constant along a row and drops out.
        logits = (c @ images.T - images.square().sum(1) / 2) / sigma.square()[:, None]
        prior = self.options.tr_tau * self.frequency.log()
        return logits + prior.to(logits.dtype)[classes]
