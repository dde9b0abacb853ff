"""Objectives put together from terms; the network is called once for all that needs a gradient."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ltdm.diffusion._base import Process
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
from ltdm.methods._streams import Streams
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.registry import Part

PIECE = 512
"""Rows that the network is asked about at once, or more, where no gradient is needed."""


def compose(parts: Iterable[Part], class_counts: list[int]) -> "Objective":
    """Make the objective that methods add up to, for a training set with these class counts.

    Raises:
        OptionError: A method does not suit the classes, or the other methods.
    """
    parts, terms = tuple(parts), []
    for place, part in enumerate(parts):
        try:
            terms.append(part.module.build(part.options, class_counts))
        except OptionError as error:
            where = ("method", str(place)) if len(parts) > 1 else ("method",)
            raise OptionError((*where, *error.path), error.message) from None
    objective = Objective(terms)
    if objective.by_class and len(parts) > 1:
        alone = next(p for p, t in zip(parts, objective.terms, strict=True) if t.by_class)
        raise OptionError(
            ("method",), f"{alone} decides what a batch is and goes with no other method"
        )
    return objective


def evaluations(parts: Iterable[Part], classes: int) -> Evaluations:
    """Return the evaluations an image of what methods add up to, on data of so many classes."""
    return sum((p.module.evaluations(p.options, classes) for p in parts), NOTHING) + ONE


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

    def label_use(self, conditional: bool) -> str:
        """Return what a label does: the network's "input", which "network" it is, or "nothing"."""
        if self.players:
            return "network"
        return "input" if conditional else "nothing"

    def loss(self, net: Net, batch: Batch, process: Process, rng: Streams) -> dict[str, Tensor]:
        """Return named losses, each one value an image, shape (B,); their sum is minimised.

        The data term is called `denoise`. Where the process learns how large that is at each level,
        all count by it, and `uncertainty` is what that changes of the data term.
        """
        at = noised(batch, process, rng)
        for term in self.terms:
            at = at._replace(target=term.target(at, batch, process, rng))
        questions = [term.ask(at, batch, rng) for term in self.terms]
        own, others = self._ask(net, at.inputs, questions)
        denoise = mse(own.F, at.target)
        losses = {"denoise": denoise}
        for k, (term, question) in enumerate(zip(self.terms, questions, strict=True)):
            if question:
                losses |= term.losses(at, own, question, others[k])
        losses = _levelled(losses, process.log_error(at.level))
        for term in self.terms:
            weights = term.weights(at, denoise.detach())
            if weights is not None:
                losses = {name: weights * values for name, values in losses.items()}
        return losses

    def _ask(
        self, net: Net, own: Inputs, questions: list[Question | None]
    ) -> tuple[Said, dict[int, Said]]:
        """Return what the network says of the batch, and of each question by its place.

        What needs a gradient goes with the batch; what needs none, or less of the network, alone.
        """
        asked = {k: (q, own.again(q.labels)) for k, q in enumerate(questions) if q}
        joint = [k for k, (q, _) in asked.items() if q.gradient and q.want != "z"]
        whole = Inputs.joined([own, *(asked[k][1] for k in joint)])
        sizes = [len(own.x), *(len(asked[k][0].labels) for k in joint)]
        both = any(asked[k][0].want == "both" for k in joint)
        F, z = net.both(*whole) if both else (net(*whole), _none(own))
        zs = z.split(sizes) if both else [z] * len(sizes)
        mine, *theirs = (Said(*pair) for pair in zip(F.split(sizes), zs, strict=True))
        answers = dict(zip(joint, theirs, strict=True))
        for k in sorted(asked.keys() - answers.keys()):
            answers[k] = _alone(net, *asked[k], len(own.x))
        return mine, answers


def _levelled(losses: dict[str, Tensor], u: Tensor | None) -> dict[str, Tensor]:
    """Return losses with every noise level counting alike, where its error's log u (B,) is learnt.

    `denoise` stays what it was, and `uncertainty` is what makes it e^-u denoise + u. u is learnt
    from these alone: other terms neither move it nor lessen themselves.
    """
    if u is None:
        return losses
    weight, denoise = (-u).exp(), losses["denoise"]
    fixed = weight.detach()
    others = {name: fixed * values for name, values in losses.items() if name != "denoise"}
    return {"denoise": denoise, "uncertainty": (weight - 1) * denoise + u, **others}


def _alone(net: Net, question: Question, inputs: Inputs, size: int) -> Said:
    """Return what the network says of a question apart from the batch of so many images.

    Without a gradient it is asked in pieces of whole batches, of `PIECE` rows or a little more: a
    GPU is filled, and memory stays bounded. Where the rest would be a piece of another shape, and
    compiled apart, up to twice as many rows are taken if they leave none.
    """
    if question.gradient:
        return Said(_none(inputs), net.bottleneck(*inputs))
    number, least = len(inputs.x) // size, -(-PIECE // size)
    each = next((k for k in range(least, 2 * least) if number % k == 0), least)
    pieces = zip(*(t.split(each * size) for t in inputs if t is not None), strict=True)
    with torch.no_grad():
        said = [net(*piece) for piece in pieces]
    return Said(torch.cat(said), _none(inputs))


def _none(inputs: Inputs) -> Tensor:
    return inputs.x.new_empty(0)
