"""Capacity manipulation: a part of the network's capacity is reserved for the rare classes.

With F the prediction, F^g that of the same network without its reserve (`network.reserve`: low-rank
adapters of the decoder) at the same x_t, t and label, p_c the frequency of class c among C, and
q_c = (1 / p_c) / sum_k (1 / p_k),

    L = |F - F*|^2 + weight C (consistency p_y - diversity q_y) |F - F^g|^2.

So frequent classes are to do without the reserve, and rare ones to use it. Squares are means over
pixels, the class y is the true one also where the label was dropped, and both predictions get the
gradient. A network is sampled with its adapters merged into the weights, at no cost.
Source: Hong et al., "Improving Diffusion Models for Class-Imbalanced Training Data via Capacity
Manipulation", ICLR 2026, whose formula has `diversity: 1`; 0.2 is the released code's.

Cost: one more forward and backward pass, in one batch with the image's own. With `masks: shared`
both have one pass through the encoder and the middle blocks, about a quarter of a U-Net.

Released code: draws own dropout masks for the two predictions, so that the loss is above 0 even
without a reserve, where it is a consistency loss alone (R-Drop's idea). Its config adds OC-LT: the
released method is `method: [cm, oclt]`. Controls of the loss: `weight: 0` with a reserve, `cm` with
`network.reserve: 0`, and a sample set with `plain: true`. On a network with neither a reserve nor
dropout, such as `mlp`, the two predictions are equal and the loss is 0.

What the weights do: p_c q_c is the same for all classes, so in expectation each class is pushed
apart equally, by diversity / sum_k (1 / p_k), and pulled together by p_c^2. On CIFAR10-LT at
imbalance 0.01 the weight is 4.0 for the first class, and is below 0 for the last three, -0.76 for
the last. On balanced data it is 1 - diversity for all, so the released 0.2 still pulls. Where it is
below 0 the loss has no lower bound in F^g; `margin` gives it one.

Paper's table: 50,000 images, as many of each class, by DDIM in 50 steps at guidance 1.5. The
deviations of its FID are of two random subsets of one set of images, not of seeds. Constants are
from the released code, results from transcriptions of the paper (config/cm.yaml). A replication by
others (yluo5820/flow_matching; CIFAR100-LT, 60,000 steps, 10,000 images, one seed) has FID 24.7 for
CM, 27.0 with OC-LT, 36.3 for DDPM, and 40.2 for OC-LT with the reserve but without the loss. There
the loss made the two predictions nearly equal for all classes, and random adapters of the same
spectrum, in place of the learnt ones, had FID 27.7 on average: it acted as a consistency loss.
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

CITATION = """@inproceedings{hong2026capacity,
  title={Improving Diffusion Models for Class-Imbalanced Training Data via Capacity Manipulation},
  author={Hong, Feng and Yao, Jiangchao and Shen, Yifei and Li, Dongsheng and Zhang, Ya and
          Wang, Yanfeng},
  booktitle={ICLR}, year={2026}}"""


@dataclass(frozen=True)
class Options:
    """Strength of the loss, and which dropout masks the two predictions have."""

    weight: float = option(1.0, "Weight of the loss.", low=0)
    consistency: float = option(
        1.0, "Weight of the class frequency, which pulls the predictions together.", low=0
    )
    diversity: float = option(
        0.2,
        "Weight of the inverse class frequency, which pushes them apart; the paper has 1.",
        low=0,
    )
    masks: str = option(
        "own",
        "Dropout masks of the prediction without the reserve: its `own`, or `shared` with the other"
        " prediction, which takes about an eighth less time.",
        choices=("own", "shared"),
    )
    margin: float | None = option(
        None,
        "Mean squared difference from which on no class is pushed further; by default no limit.",
        above=0,
    )


def evaluations(options: Options, classes: int) -> NetworkEvaluations:
    """Return the network evaluations per image that the term adds."""
    if not options.weight:
        return NO_EVALUATIONS
    if options.masks == "shared":
        return NetworkEvaluations(0, 0, decoder=1)
    return NetworkEvaluations(1, 1)


def build(options: Options, class_counts: list[int]) -> Term:
    """Build the term; OptionError if a class has no image, whose inverse frequency is infinite."""
    if not options.weight:
        return Term()
    if not min(class_counts):
        message = f"needs an image of every class, and class {class_counts.index(0)} has none"
        raise OptionError(("diversity",), f"{message}; set the data set's min_per_class to 1")
    return CM(options, class_counts)


class CM(Term):
    """The term; `strength` (C,) is the weight of each class."""

    log_by_class_group = ("capacity",)
    strength: Tensor

    def __init__(self, options: Options, class_counts: list[int]):
        super().__init__()
        self.options, self.plain = options, options.masks
        counts = torch.tensor(class_counts, dtype=torch.float64)
        p, q = counts / counts.sum(), counts.reciprocal() / counts.reciprocal().sum()
        strength = len(class_counts) * (options.consistency * p - options.diversity * q)
        self.register_buffer("strength", options.weight * strength, persistent=False)

    def query(self, noisy: NoisyBatch, batch: Batch, rng: Generators) -> Query:
        """Ask for the batch's predictions without the reserve."""
        return Query(None, plain=self.plain)

    def extra_losses(
        self, noisy: NoisyBatch, own: Prediction, query: Query, other: Prediction
    ) -> dict[str, Tensor]:
        """Return `capacity` (B,), below 0 for images of rare classes."""
        strength, distance = self.strength[noisy.classes].to(own.F.dtype), mse(own.F, other.F)
        if self.options.margin is not None:
            limited = distance.clamp(max=self.options.margin)
            distance = torch.where(strength < 0, limited, distance)
        return {"capacity": strength * distance}
