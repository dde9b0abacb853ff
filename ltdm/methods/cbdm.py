"""Class-balancing diffusion: predictions under different labels are pulled together.

Each image whose label was not dropped gets a second label y' ~ Q, and at the same x_t and t

    L = |F - F*|^2 + tau s(t) (|F - sg F'|^2 + commitment_weight |sg F - F'|^2),
    F' = F(x_t, t, y'),

where sg stops the gradient and s is the process's progress (t / T for `vp`). Q is the class
frequency in the training set by default, uniform in the paper's finetuning (`train.init_from`), or
proportional to any power of the frequency. The last term is the paper's commitment term.
Source: Qin et al., "Class-Balancing Diffusion Models", CVPR 2023, equation 8 and algorithm 1.

Cost: one more forward and backward pass, in one batch with the image's own. Without the commitment
term the second branch needs no gradient and is a separate call.

Released code: drops the labels of all images of a batch at once, and such a batch makes no step on
the label embedding (`train.label_dropout_per: batch`); its finetuning loads the wrong folder and
then makes no training step.

Paper's table: the README's guidance is 0.8 for DDPM, 1.6 for CBDM, and 1.4 and 2.0 for variants,
after 200,000 to 500,000 steps. The code sets no seed, and no README has a number of CIFAR10-LT from
50,000 images; those that lists of results give are unverified (config/cbdm.yaml).
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
    """Strength of the regulariser and distribution of its labels."""

    tau: float = option(1.0, "Weight of the regulariser at pure noise.", low=0)
    commitment_weight: float = option(
        0.25, "Weight of the commitment term, which trains the second label's branch.", low=0
    )
    label_distribution: str = option(
        "train",
        "Distribution Q of the second label: training frequency, uniform, or frequency to a power.",
        choices=("train", "uniform", "power"),
    )
    power: float | None = option(
        None, "Exponent of the frequency, for `label_distribution: power` only.", low=-10, high=10
    )

    def __post_init__(self) -> None:
        if (self.label_distribution == "power") != (self.power is not None):
            message = "and `label_distribution: power` need each other; set both, or neither"
            raise OptionError(("power",), message)


def evaluations(options: Options, classes: int) -> NetworkEvaluations:
    """Return the network evaluations per image that the term adds."""
    return (
        NetworkEvaluations(1, 1 if options.commitment_weight else 0)
        if options.tau
        else NO_EVALUATIONS
    )


def build(options: Options, class_counts: list[int]) -> Term:
    """Build the term for a training set with these class counts."""
    return CBDM(options, class_counts) if options.tau else Term()


class CBDM(Term):
    """The term; `cdf` (C,) is the distribution function of Q."""

    needs_conditional_network = True
    log_by_class_group = ("balance",)
    cdf: Tensor

    def __init__(self, options: Options, class_counts: list[int]):
        super().__init__()
        self.options = options
        exponents = {"train": 1.0, "uniform": 0.0, "power": options.power or 0.0}
        exponent = exponents[options.label_distribution]
        weight = torch.tensor(class_counts, dtype=torch.float64) ** exponent
        self.register_buffer("cdf", torch.cumsum(weight / weight.sum(), dim=0), persistent=False)

    def draw_labels(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw labels (n,) from Q by inverting its distribution function, without a host sync."""
        u = torch.rand(n, generator=rng, device=self.cdf.device, dtype=torch.float64)
        return torch.searchsorted(self.cdf, u, right=True).clamp(max=len(self.cdf) - 1)

    def query(self, noisy: NoisyBatch, batch: Batch, rng: Generators) -> Query:
        """Query every image under a second label."""
        labels = self.draw_labels(len(batch.labels), rng.shared)
        return Query(labels, gradient=self.options.commitment_weight > 0)

    def extra_losses(
        self, noisy: NoisyBatch, own: Prediction, query: Query, other: Prediction
    ) -> dict[str, Tensor]:
        """Return `balance` (B,), 0 where the label was dropped."""
        pull = mse(own.F, other.F.detach())
        commitment = mse(own.F.detach(), other.F)
        gap = pull + self.options.commitment_weight * commitment
        return {"balance": self.options.tau * noisy.progress * noisy.has_label * gap}
