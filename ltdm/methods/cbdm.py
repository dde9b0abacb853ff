"""Class-balancing diffusion: predictions under other labels are pulled together.

For each image whose label was kept, a second label y' ~ Q is drawn and, at the same x_t and t,

    L = |F - F*|^2 + tau s(t) (|F - sg F'|^2 + commitment_weight |sg F - F'|^2),
    F' = F(x_t, t, y'),

where sg stops the gradient and s is the process's progress (t / T for `vp`). Q is the training
set's class frequency by default, uniform where the paper finetunes (`train.init_from`), or any
power of the frequency. The last term is the paper's commitment term.
Source: Qin et al., "Class-Balancing Diffusion Models", CVPR 2023, equation 8 and algorithm 1.

Cost: both branches go through the network as one batch. Without the commitment term the other
branch needs no gradient, and goes alone.

Released code: hides the labels of a whole batch at once (`train.label_dropout_per: batch`); loads
the wrong folder when it finetunes, and then makes no step.
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

CITATION = """@inproceedings{qin2023cbdm,
  title={Class-Balancing Diffusion Models},
  author={Qin, Yiming and Zheng, Huangjie and Yao, Jiangchao and Zhou, Mingyuan and Zhang, Ya},
  booktitle={CVPR}, year={2023}}"""


@dataclass(frozen=True)
class Options:
    """Strength of the regulariser and where its labels come from."""

    tau: float = option(1.0, "Weight of the regulariser at pure noise.", low=0)
    commitment_weight: float = option(
        0.25, "Weight of the commitment term, which moves the other label's branch.", low=0
    )
    label_distribution: str = option(
        "train",
        "Law Q of the other label: training frequency, uniform, or frequency to a power.",
        choices=("train", "uniform", "power"),
    )
    power: float | None = option(
        None, "Exponent of the frequency, for `label_distribution: power` only.", low=-10, high=10
    )

    def __post_init__(self) -> None:
        if (self.label_distribution == "power") != (self.power is not None):
            raise OptionError(
                ("power",), "goes with `label_distribution: power`, and each needs the other"
            )


def evaluations(options: Options, classes: int) -> NetworkEvaluations:
    """Return the evaluations per image beyond its own one."""
    return (
        NetworkEvaluations(1, 1 if options.commitment_weight else 0)
        if options.tau
        else NO_EVALUATIONS
    )


def build(options: Options, class_counts: list[int]) -> Term:
    """Make the term for a training set with these class counts."""
    return CBDM(options, class_counts) if options.tau else Term()


class CBDM(Term):
    """See the module."""

    needs_conditional_network = True
    cdf: Tensor

    def __init__(self, options: Options, class_counts: list[int]):
        super().__init__()
        self.options = options
        exponents = {"train": 1.0, "uniform": 0.0, "power": options.power or 0.0}
        exponent = exponents[options.label_distribution]
        weight = torch.tensor(class_counts, dtype=torch.float64) ** exponent
        self.register_buffer("cdf", torch.cumsum(weight / weight.sum(), dim=0), persistent=False)

    def draw_labels(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw n labels from Q by inverting its distribution function, without a host sync."""
        u = torch.rand(n, generator=rng, device=self.cdf.device, dtype=torch.float64)
        return torch.searchsorted(self.cdf, u, right=True).clamp(max=len(self.cdf) - 1)

    def query(self, noisy: NoisyBatch, batch: Batch, rng: Generators) -> Query:
        """Ask about every image under another label."""
        labels = self.draw_labels(len(batch.labels), rng.shared)
        return Query(labels, gradient=self.options.commitment_weight > 0)

    def extra_losses(
        self, noisy: NoisyBatch, own: Prediction, query: Query, other: Prediction
    ) -> dict[str, Tensor]:
        """Return `balance`, zero where the label was dropped."""
        there = mse(own.F, other.F.detach())
        gap = there + self.options.commitment_weight * mse(own.F.detach(), other.F)
        return {"balance": self.options.tau * noisy.progress * noisy.has_label * gap}
