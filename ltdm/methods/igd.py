"""Mutual learning: each class is a player that learns from its own images and from its peers.

Player y has its own images and its own cost, in which its peers y' are constants (sg):

    L_y = |F_y - F*|^2 + beta s(t) mean_{y' != y} |F_y - sg F_y'|^2,    F_y' = F_y'(x_t, t),

with s the process's progress (t / T for `vp`), so that peers count most at high noise. beta = 0
trains the classes independently, without evaluating peers. The method's criterion is the worst
class: judge it by that.
Source: Das et al., "Principled Long-Tailed Generative Modeling via Diffusion Models", NeurIPS 2025.

`mode: separate` is the paper's game: one unconditional network per class. All networks make a step
at once, each on its part of the batch (`batch_size / C` images, rounded down, at least one), with
its own gradient clipping and EMA. A label selects the network that samples. `mode: shared` is one
conditional network, and y' is another label: it is no longer the game (the authors call it a
special case close to CBDM), but costs as little as one network. `mode: released` is what the
published code runs.

Peers: all other classes, or `{sample: k}` drawn per image without replacement, which has the same
expectation. Separate networks draw once for the same position of all classes, so that every network
is evaluated on the same number of rows.

Released code: one shared conditional network. It makes an optimiser step per class in turn, on
`batch_size / C` images, at one learning rate, and an EMA step per round of C. It divides the mean
over the peers by C - 1 once more, so the weight is beta / (C - 1). Its strength is the flag `beta`
(1 by default), not the README's `tau`. Its settings are `{mode: released, beta: 1}` with one draw
per class's batch that drops all its labels (`train.label_dropout_per: batch`); an optimiser step
without labels leaves the label embedding as it is. A training step here is one such round, and goes
through a class's images in random order, epoch by epoch, where the code draws independently each
time. Even at beta = 0 it is class-balanced training of one network.

Paper's table: one seed, 15,000 images, guidance 1.6 (config/igd.yaml has the numbers). The released
code ignores the strength that the table varies, so three of its rows, of FIDs 0.7 apart, may
differ by chance alone.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

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
)
from ltdm.methods._generators import Generators
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import KeyPath, option

CITATION = """@inproceedings{das2025igd,
  title={Principled Long-Tailed Generative Modeling via Diffusion Models},
  author={Das, Pranoy and Fu, Kexin and Hashemi, Abolfazl and Gupta, Vijay},
  booktitle={NeurIPS}, year={2025}}"""


class PeersOption:
    """Parser of `all` and `{sample: k}`, the forms that a config may have."""

    schema: ClassVar[dict[str, Any]] = {
        "anyOf": [
            {"enum": ["all"]},
            {
                "type": "object",
                "additionalProperties": False,
                "required": ["sample"],
                "properties": {"sample": {"type": "integer", "minimum": 1}},
            },
        ]
    }

    def __call__(self, value: Any, path: KeyPath) -> "Peers":
        """Parse the config's value; OptionError if it is of neither form."""
        if value == "all":
            return Peers()
        if not isinstance(value, dict) or list(value) != ["sample"]:
            raise OptionError(path, f"must be all or {{sample: k}}, not {value!r}")
        k = value["sample"]
        if type(k) is not int or k < 1:
            raise OptionError((*path, "sample"), f"must be a whole number from 1, not {k!r}")
        return Peers(k)


@dataclass(frozen=True)
class Peers:
    """Number of peers per image; None for all."""

    sample: int | None = None

    def to_config(self) -> str | dict[str, int]:
        """Return the value as a config holds it."""
        return "all" if self.sample is None else {"sample": self.sample}

    def count(self, classes: int) -> int:
        """Return the number of peers per image, given the number of classes."""
        return self.sample or classes - 1


@dataclass(frozen=True)
class Options:
    """The game and its peers."""

    mode: str = option(
        "separate",
        "A network per class (`separate`), one for all (`shared`), or as the published code.",
        choices=("separate", "shared", "released"),
    )
    beta: float = option(
        0.1, "Weight of the mutual term at pure noise; 0 evaluates no peers.", low=0
    )
    peers: Peers = option(
        Peers(),
        "Peers per image: `all` other classes, or `{sample: k}` of them.",
        parser=PeersOption(),
    )


def evaluations(options: Options, classes: int) -> NetworkEvaluations:
    """Return the network evaluations per image that the term adds."""
    return NetworkEvaluations(options.peers.count(classes), 0) if options.beta else NO_EVALUATIONS


def build(options: Options, class_counts: list[int]) -> Term:
    """Build the term; OptionError if there are fewer classes than the peers need."""
    others = len(class_counts) - 1
    if options.beta and not others:
        message = "needs another class to learn from, and the data set has only one; set it to 0"
        raise OptionError(("beta",), message)
    if options.beta and options.peers.count(others + 1) > others:
        message = f"is {options.peers.sample}, but a class has only {others} peers; lower it"
        raise OptionError(("peers", "sample"), message)
    return IGD(options, others + 1)


class IGD(Term):
    """The term, for a number of classes."""

    def __init__(self, options: Options, classes: int):
        super().__init__()
        self.options, self.classes = options, classes
        self.network_per_class = options.mode == "separate"
        self.step_per_class = options.mode == "released"
        self.class_blocks = self.network_per_class or self.step_per_class
        self.needs_conditional_network = options.beta > 0 and not self.network_per_class

    def query(self, noisy: NoisyBatch, batch: Batch, rng: Generators) -> Query | None:
        """Query the peers on every image, without a gradient: k other labels per image."""
        if not self.options.beta:
            return None
        rows, k = len(batch.classes), self.options.peers.count(self.classes)
        # Networks per class share their shifts: then all have the same number of rows, which
        # evaluating them as one stack needs.
        columns = rows // self.classes if self.network_per_class else rows
        shifts = self.draw_shifts(k, columns, rng.shared).repeat(1, rows // columns)
        labels = (batch.classes + shifts) % self.classes
        return Query(labels.flatten(), gradient=False)

    def draw_shifts(self, k: int, columns: int, rng: torch.Generator) -> Tensor:
        """Draw k different offsets to other classes per column: (k, columns), from 1 to C - 1."""
        others = self.classes - 1
        if k == others:
            return torch.arange(1, self.classes, device=rng.device)[:, None].expand(k, columns)
        order = torch.rand(others, columns, generator=rng, device=rng.device).argsort(0)
        return order[:k] + 1

    def extra_losses(
        self, noisy: NoisyBatch, own: Prediction, query: Query, other: Prediction
    ) -> dict[str, Tensor]:
        """Return `mutual` (B,), 0 where the label was dropped."""
        k = self.options.peers.count(self.classes)
        weight = self.options.beta / k
        if self.options.mode == "released":
            weight /= self.classes - 1
        gap = weight * (own.F - other.F.unflatten(0, (k, -1))).square().flatten(2).mean(2)
        return {"mutual": (noisy.progress * noisy.has_label * gap).sum(0)}
