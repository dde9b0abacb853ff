"""Mutual learning: each class is a player that learns its images, and a little from its peers.

Player y has its own images and its own cost; its peers y' are constants in it (sg):

    L_y = |F_y - F*|^2 + beta s(t) mean_{y' != y} |F_y - sg F_y'|^2,    F_y' = F_y'(x_t, t),

with s the process's progress (t / T for `vp`), so that the peers are heard at high noise. beta = 0
trains the classes independently, and asks no peers. Judge it by the worst class: that is its
criterion.
Source: Das et al., "Principled Long-Tailed Generative Modeling via Diffusion Models", NeurIPS 2025.

`mode: separate` is the paper's game: an unconditional network for each class, all of them updated
at once, each on its share of the batch (`batch_size / C` images, rounded down, at least one),
clipped and averaged on its own. A label picks the network that samples. `mode: shared` is one
conditional network, y' another label: no longer the game (the authors call it a special case close
to CBDM), but as cheap as one network. `mode: released` is what the published code runs.

Peers: all of them, or `{sample: k}` drawn for each image without replacement, which has the same
expectation. Separate networks draw for the same place of every class at once: each is then asked as
often as any other.

Released code: one shared conditional network; an optimiser step for each class in turn, of
`batch_size / C` images, at one learning rate, with averaged weights once a round of C; the mean
over the peers is divided by C - 1 once more, so the weight is beta / (C - 1); its strength is the
flag `beta` (1 by default) and not the README's `tau`. It is `{mode: released, beta: 1}` with a coin
a batch that hides labels (`train.label_dropout_per: batch`); an update here is one such round, and
a class's images are walked in a random order, epoch by epoch, where the code draws afresh each
time. Even at beta = 0 it is class-balanced training of one network.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ltdm.methods._base import NOTHING, Batch, Evaluations, Noised, Question, Said, Term
from ltdm.methods._streams import Streams
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import KeyPath, option

CITATION = """@inproceedings{das2025igd,
  title={Principled Long-Tailed Generative Modeling via Diffusion Models},
  author={Das, Pranoy and Fu, Kexin and Hashemi, Abolfazl and Gupta, Vijay},
  booktitle={NeurIPS}, year={2025}}"""


class PeersOption:
    """Parser of `all` and `{sample: k}`; all is None."""

    schema: ClassVar[dict[str, Any]] = {
        "anyOf": [
            {"enum": ["all"]},
            {
                "type": "object", "additionalProperties": False, "required": ["sample"],
                "properties": {"sample": {"type": "integer", "minimum": 1}},
            },
        ]
    }  # fmt: skip

    def __call__(self, value: Any, path: KeyPath) -> "Peers":
        """Parse what the config gives."""
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
    """How many peers an image is shown to; None for all."""

    sample: int | None = None

    def to_config(self) -> str | dict[str, int]:
        """Return what YAML would hold."""
        return "all" if self.sample is None else {"sample": self.sample}

    def number(self, classes: int) -> int:
        """Return how many there are among so many classes."""
        return self.sample or classes - 1


@dataclass(frozen=True)
class Options:
    """The game and its peers."""

    mode: str = option(
        "separate",
        "A network a class (`separate`), one for all (`shared`), or what the published code does.",
        choices=("separate", "shared", "released"),
    )
    beta: float = option(0.1, "Weight of the mutual term at pure noise; 0 asks no peers.", low=0)
    peers: Peers = option(
        Peers(), "The other classes that an image is shown to: `all`, or `{sample: k}` of them.",
        parser=PeersOption(),
    )  # fmt: skip


def evaluations(options: Options, classes: int) -> Evaluations:
    """Return the evaluations per image beyond its own one."""
    return Evaluations(options.peers.number(classes), 0) if options.beta else NOTHING


def build(options: Options, class_counts: list[int]) -> Term:
    """Make the term; OptionError where the classes are too few for the peers asked for."""
    others = len(class_counts) - 1
    if options.beta and not others:
        message = "needs another class to learn from, and the data set has only one"
        raise OptionError(("beta",), message)
    if options.beta and options.peers.number(others + 1) > others:
        message = f"is {options.peers.sample}, but a class has only {others} peers"
        raise OptionError(("peers", "sample"), message)
    return IGD(options, others + 1)


class IGD(Term):
    """See the module."""

    def __init__(self, options: Options, classes: int):
        super().__init__()
        self.options, self.classes = options, classes
        self.players = options.mode == "separate"
        self.in_turns = options.mode == "released"
        self.by_class = self.players or self.in_turns
        self.compares_labels = options.beta > 0 and not self.players

    def ask(self, at: Noised, batch: Batch, rng: Streams) -> Question | None:
        """Ask the peers about every image; no gradient reaches them."""
        if not self.options.beta:
            return None
        rows, k = len(batch.classes), self.options.peers.number(self.classes)
        # Where each class has a network, all of them move by the same shifts: each then is asked
        # the same number of rows, as a stack needs it.
        columns = rows // self.classes if self.players else rows
        shifts = self.shifts(k, columns, rng.device).repeat(1, rows // columns)
        labels = (batch.classes + shifts) % self.classes
        return Question(labels.flatten(), gradient=False)

    def shifts(self, k: int, columns: int, rng: torch.Generator) -> Tensor:
        """Draw k different steps to another class for each column, (k, columns)."""
        others = self.classes - 1
        if k == others:
            return torch.arange(1, self.classes, device=rng.device)[:, None].expand(k, columns)
        order = torch.rand(others, columns, generator=rng, device=rng.device).argsort(0)
        return order[:k] + 1

    def losses(self, at: Noised, own: Said, question: Question, other: Said) -> dict[str, Tensor]:
        """Return `mutual`, zero where the label was dropped."""
        k = self.options.peers.number(self.classes)
        weight = self.options.beta / k
        if self.options.mode == "released":
            weight /= self.classes - 1
        gap = weight * (own.F - other.F.unflatten(0, (k, -1))).square().flatten(2).mean(2)
        return {"mutual": (at.progress * at.labelled * gap).sum(0)}
