"""Objectives put together from terms; the network is called once for all that needs a gradient."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ltdm.diffusion._base import Process
from ltdm.methods._base import (
    Batch,
    Inputs,
    Net,
    NetworkEvaluations,
    Prediction,
    Query,
    Term,
    make_noisy,
    mse,
)
from ltdm.methods._generators import Generators
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.registry import Part

BASE_EVALUATIONS = NetworkEvaluations(1, 1)
"""What every objective costs: each image once, forward and backward."""
MIN_QUERY_ROWS = 512
"""Rows that the network is asked about at once, or more, where no gradient is needed."""


def build_objective(parts: Iterable[Part], class_counts: list[int]) -> "Objective":
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
    alone = [part for part, term in zip(parts, terms, strict=True) if term.class_blocks]
    if alone and len(parts) > 1:
        message = f"{alone[0]} decides what a batch is and goes with no other method"
        raise OptionError(("method",), message)
    return Objective(terms)


def evaluations(parts: Iterable[Part], classes: int) -> NetworkEvaluations:
    """Return the evaluations per image of what methods add up to, on data of so many classes."""
    return sum((p.module.evaluations(p.options, classes) for p in parts), BASE_EVALUATIONS)


class Objective(nn.Module):
    """The denoising loss with any terms. Learnt parameters of terms are trained with the network's.

    Each flag of a `Term` is set here if it is set for any term.
    """

    def __init__(self, terms: list[Term]):
        super().__init__()
        self.terms = terms
        self.remembered = nn.ModuleList(terms)
        self.needs_conditional_network = any(t.needs_conditional_network for t in terms)
        self.class_blocks = any(t.class_blocks for t in terms)
        self.network_per_class = any(t.network_per_class for t in terms)
        self.step_per_class = any(t.step_per_class for t in terms)

    def label_role(self, conditional: bool) -> str:
        """Return what a label does: the network's "input", which "network" it is, or "nothing"."""
        if self.network_per_class:
            return "network"
        return "input" if conditional else "nothing"

    def loss(self, net: Net, batch: Batch, process: Process, rng: Generators) -> dict[str, Tensor]:
        """Return named losses, each one value per image, shape (B,); their sum is minimised.

        The data term is called `denoise`. Where the process learns how large that is at each level,
        all count by it, and `uncertainty` is what that changes of the data term.
        """
        noisy = make_noisy(batch, process, rng)
        for term in self.terms:
            noisy = noisy._replace(target=term.target(noisy, batch, process, rng))
        asking = [(term, asked) for term in self.terms if (asked := term.query(noisy, batch, rng))]
        own, others = _query_network(net, noisy.inputs, [query for _, query in asking])
        denoise = mse(own.F, noisy.target)
        losses = {"denoise": denoise}
        for (term, query), other in zip(asking, others, strict=True):
            losses |= term.extra_losses(noisy, own, query, other)
        losses = _apply_logvar(losses, process.log_error(noisy.level))
        for term in self.terms:
            weights = term.image_weights(noisy, denoise.detach())
            if weights is not None:
                losses = {name: weights * values for name, values in losses.items()}
        return losses


def _query_network(
    net: Net, own: Inputs, queries: list[Query]
) -> tuple[Prediction, list[Prediction]]:
    """Return what the network says of the batch, and of each query.

    What needs a gradient goes with the batch; what needs none, or less of the network, alone.
    """
    joint = [k for k, q in enumerate(queries) if q.gradient and q.outputs != "z"]
    parts = [own, *(own.repeat_with(queries[k].labels) for k in joint)]
    whole, sizes = Inputs.concatenate(parts), [len(part.x) for part in parts]
    if any(queries[k].outputs == "both" for k in joint):
        splits = (answer.split(sizes) for answer in net.both(*whole))
        said = [Prediction(*pair) for pair in zip(*splits, strict=True)]
    else:
        said = [Prediction(F) for F in net(*whole).split(sizes)]
    answers = dict(zip(joint, said[1:], strict=True))
    return said[0], [
        answers[k] if k in answers else _query_separately(net, q, own)
        for k, q in enumerate(queries)
    ]


def _apply_logvar(losses: dict[str, Tensor], u: Tensor | None) -> dict[str, Tensor]:
    """Return losses with each noise level counting equally, where its error's log u (B,) is learnt.

    `denoise` stays what it was, and `uncertainty` is what makes it e^-u denoise + u. u is learnt
    from these alone: other terms neither move it nor lessen themselves.
    """
    if u is None:
        return losses
    weight, denoise = (-u).exp(), losses["denoise"]
    fixed = weight.detach()
    others = {name: fixed * values for name, values in losses.items() if name != "denoise"}
    return {"denoise": denoise, "uncertainty": (weight - 1) * denoise + u, **others}


def _query_separately(net: Net, query: Query, own: Inputs) -> Prediction:
    """Return what the network says of a question apart from the batch.

    Without a gradient it is asked in pieces of whole batches, of at least `MIN_QUERY_ROWS` rows: a
    GPU is filled, and memory stays bounded. Where the rest would be a piece of another shape, and
    compiled apart, up to twice as many rows are taken if they leave none.
    """
    inputs, size = own.repeat_with(query.labels), len(own.x)
    if query.gradient:
        return Prediction(z=net.bottleneck(*inputs))
    number, least = len(inputs.x) // size, -(-MIN_QUERY_ROWS // size)
    each = next((k for k in range(least, 2 * least) if number % k == 0), least)
    pieces = zip(*(t.split(each * size) for t in inputs if t is not None), strict=True)
    with torch.no_grad():
        said = [net(*piece) for piece in pieces]
    return Prediction(torch.cat(said))
