"""Class-balancing diffusion: predictions under other labels are pulled together.

For each image whose label was kept, a second label y' ~ Q is drawn and, at the same x_t and t,

    L = |F - F*|^2 + tau s(t) (|F - sg F'|^2 + rc_weight |sg F - F'|^2),    F' = F(x_t, t, y'),

where sg stops the gradient and s is the process's progress (t / T for `vp`). Q is the training
set's class frequency by default, uniform when finetuning, or any power of the frequency.
Source: Qin et al., "Class-Balancing Diffusion Models", CVPR 2023, equation 8 and algorithm 1.

The released code drops the labels of a whole batch at once; here each image has its own draw, which
has the same expectation and less variance. Cost with label dropout p: 2 - p evaluations an image,
forward and backward, in one call; without the commitment term 1 backward.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ltdm.diffusion._base import Process
from ltdm.errors import OptionError
from ltdm.methods._base import Batch, Inputs, Method, Net, mse, noised
from ltdm.options import option

CITATION = """@inproceedings{qin2023cbdm,
  title={Class-Balancing Diffusion Models},
  author={Qin, Yiming and Zheng, Huangjie and Yao, Jiangchao and Zhou, Mingyuan and Zhang, Ya},
  booktitle={CVPR}, year={2023}}"""


@dataclass(frozen=True)
class Options:
    """Strength of the regulariser and where its labels come from."""

    tau: float = option(1.0, "Weight of the regulariser at pure noise.", low=0)
    rc_weight: float = option(
        0.25,
        "Weight of the commitment term, which moves the other label's branch.",
        low=0,
    )
    target: str = option(
        "train",
        "Law Q of the other label: training frequency, uniform, or frequency to a power.",
        choices=("train", "uniform", "power"),
    )
    power: float | None = option(None, "Exponent of the frequency, for `target: power` only.")

    def __post_init__(self) -> None:
        """Refuse a power without its law, and the law without its power."""
        if (self.target == "power") != (self.power is not None):
            raise OptionError(("power",), "goes with `target: power`, and each needs the other")


def evaluations(options: Options, label_dropout: float) -> tuple[float, float]:
    """Return the mean forward and backward evaluations an image."""
    if options.tau == 0:
        return 1, 1
    return 2 - label_dropout, 2 - label_dropout if options.rc_weight else 1


def build(options: Options, class_counts: list[int]) -> Method:
    """Make the objective for a training set with these class counts."""
    return CBDM(options, class_counts)


class CBDM(Method):
    """See the module."""

    cdf: Tensor

    def __init__(self, options: Options, class_counts: list[int]):
        super().__init__()
        self.options = options
        exponent = {"train": 1.0, "uniform": 0.0, "power": options.power or 0.0}[options.target]
        weight = torch.tensor(class_counts, dtype=torch.float64) ** exponent
        cdf = torch.cumsum(weight / weight.sum(), dim=0)
        self.register_buffer("cdf", cdf, persistent=False)

    def draw_labels(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw n labels from Q by inverting its distribution function, without a host sync."""
        u = torch.rand(n, generator=rng, device=self.cdf.device, dtype=torch.float64)
        return torch.searchsorted(self.cdf, u, right=True).clamp(max=len(self.cdf) - 1)

    def loss(
        self, net: Net, batch: Batch, process: Process, rng: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the terms `denoise` and `balance`; a dropped label has no `balance`."""
        at = noised(batch, process, rng)
        if self.options.tau == 0:
            return {"denoise": mse(net(*at.inputs), at.target)}
        others = self.draw_labels(len(batch.kept), rng)
        own, other = self._branches(net, at.inputs, at.inputs.rows(batch.kept).labelled(others))
        mine = own[batch.kept]
        gap = mse(mine, other.detach()) + self.options.rc_weight * mse(mine.detach(), other)
        weight = self.options.tau * process.progress(at.level[batch.kept])
        denoise = mse(own, at.target)
        return {
            "denoise": denoise,
            "balance": torch.zeros_like(denoise).index_copy(0, batch.kept, weight * gap),
        }

    def _branches(self, net: Net, inputs: Inputs, again: Inputs) -> tuple[Tensor, Tensor]:
        """Return F of every image, and F of those with a label under the other label.

        Both go through the network as one batch, but where the commitment term is off the other
        branch needs no gradient and goes alone, which saves its backward pass.
        """
        if self.options.rc_weight == 0:
            with torch.no_grad():
                other = net(*again)
            return net(*inputs), other
        both = net(*inputs.joined(again))
        return both[: len(inputs.x)], both[len(inputs.x) :]
