"""Objectives put together from terms; the network is called once for all that needs a gradient."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ltdm.diffusion._base import Process
from ltdm.errors import OptionError
from ltdm.methods._base import (
    NOTHING,
    ONE,
    Batch,
    Evaluations,
    Inputs,
    Net,
    Question,
    Said,
    Term,
    mse,
    noised,
)
from ltdm.registry import Part
from ltdm.streams import Streams


def compose(parts: Iterable[Part], class_counts: list[int]) -> "Objective":
    """Make the objective that methods add up to, for a training set with these class counts.

    Raises:
        OptionError: A method does not suit the classes, or the other methods.
    """
    parts = tuple(parts)
    objective = Objective([part.module.build(part.options, class_counts) for part in parts])
    if objective.by_class and len(parts) > 1:
        alone = next(p for p, t in zip(parts, objective.terms, strict=True) if t.by_class)
        raise OptionError(
            ("method",), f"{alone} decides what a batch is and goes with no other method"
        )
    return objective


def evaluations(parts: Iterable[Part], label_dropout: float, classes: int) -> Evaluations:
    """Return the evaluations an image, on average, of what methods add up to."""
    extra = (p.module.evaluations(p.options, label_dropout, classes) for p in parts)
    return sum(extra, NOTHING) + ONE


class Objective(nn.Module):
    """The denoising loss with any terms. Learnt parameters of terms are trained with the network's.

    Attributes:
        compares_labels: Whether a term asks under other labels.
        by_class: Whether batches hold the same number of each class, in blocks.
        players: Whether each class has a network of its own.
        in_turns: Whether each block of a batch makes an optimiser step of its own.
    """

    def __init__(self, terms: list[Term]):
        super().__init__()
        self.terms = terms
        self.remembered = nn.ModuleList(terms)
        self.compares_labels = any(t.compares_labels for t in terms)
        self.by_class = any(t.by_class for t in terms)
        self.players = any(t.players for t in terms)
        self.in_turns = any(t.in_turns for t in terms)
        self.own_want = "both" if any(t.own_want == "both" for t in terms) else "F"

    def label_use(self, conditional: bool) -> str:
        """Return what a label does: the network's "input", which "network" it is, or "nothing"."""
        if self.players:
            return "network"
        return "input" if conditional else "nothing"

    def loss(self, net: Net, batch: Batch, process: Process, rng: Streams) -> dict[str, Tensor]:
        """Return named losses, each one value an image, shape (B,); their sum is minimised.

        The data term is called `denoise`.
        """
        at = noised(batch, process, rng)
        for term in self.terms:
            at = at._replace(target=term.target(at, batch, process, rng))
        questions = [term.ask(at, batch, rng) for term in self.terms]
        own, others = self._ask(net, at.inputs, questions)
        denoise = mse(own.F, at.target)
        losses = {"denoise": denoise}
        for term, question, other in zip(self.terms, questions, others, strict=True):
            if question and other:
                losses |= term.losses(at, own, question, other)
        for term in self.terms:
            weights = term.weights(at, denoise.detach())
            if weights is not None:
                losses = {name: weights * values for name, values in losses.items()}
        return losses

    def _ask(
        self, net: Net, own: Inputs, questions: list[Question | None]
    ) -> tuple[Said, list[Said | None]]:
        """Return what the network says of the batch, and of each question.

        What needs a gradient goes with the batch; what needs none goes without, a batch at a time.
        """
        empty, size = own.x.new_empty(0), len(own.x)
        nothing = Said(own.x[:0], empty)
        answers: list[Said | None] = [nothing if q else None for q in questions]
        asked = [
            (k, q, own.again(q.rows, q.labels))
            for k, q in enumerate(questions)
            if q and len(q.rows)
        ]
        joint = [(k, q, i) for k, q, i in asked if q.gradient and q.want != "z"]
        both = self.own_want == "both" or any(q.want == "both" for _, q, _ in joint)
        whole = Inputs.joined([own, *(i for _, _, i in joint)])
        F, z = net.both(*whole) if both else (net(*whole), None)
        sizes = [size, *(len(q.rows) for _, q, _ in joint)]
        zs: Any = z.split(sizes) if z is not None else [empty] * len(sizes)
        said = [Said(*pair) for pair in zip(F.split(sizes), zs, strict=True)]
        for (k, _, _), answer in zip(joint, said[1:], strict=True):
            answers[k] = answer
        for k, q, inputs in asked:
            if q.gradient and q.want == "z":
                answers[k] = Said(empty, net.bottleneck(*inputs))
            if not q.gradient:
                with torch.no_grad():
                    answers[k] = Said(_in_pieces(net, inputs, size), empty)
        return said[0], answers


def _in_pieces(net: Net, inputs: Inputs, size: int) -> Tensor:
    """Ask in pieces of the batch's size: many questions then take no more memory than few."""
    pieces = torch.arange(len(inputs.x), device=inputs.x.device).split(size)
    return torch.cat([net(*inputs.again(rows, inputs.labels[rows])) for rows in pieces])
