"""Objectives as sums of terms; all evaluations with a gradient share one call of the network."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ltdm.core.thirds import thirds
from ltdm.diffusion._base import Process
from ltdm.methods._base import (
    Batch,
    Draws,
    Inputs,
    Net,
    NetworkEvaluations,
    Prediction,
    Query,
    Term,
    draw_noise,
    make_noisy,
    mse,
)
from ltdm.methods._generators import Generators
from ltdm.networks._reserve import NO_PLAIN_ROWS, PlainRows
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.registry import Part

BASE_EVALUATIONS = NetworkEvaluations(1, 1)
"""Cost of every objective: one forward and one backward pass per image."""
MIN_QUERY_ROWS = 512
"""Minimum number of rows in a call without gradient, if the query has as many."""


def build_objective(parts: Iterable[Part], class_counts: list[int]) -> "Objective":
    """Build the objective of one method or several, for a training set with these class counts.

    Raises:
        OptionError: A method does not suit the classes, or cannot be combined with the others.
    """
    parts, terms = tuple(parts), []
    for index, part in enumerate(parts):
        try:
            terms.append(part.module.build(part.options, class_counts))
        except OptionError as error:
            path = ("method", str(index)) if len(parts) > 1 else ("method",)
            raise OptionError((*path, *error.path), error.message) from None
    exclusive = [part for part, term in zip(parts, terms, strict=True) if term.class_blocks]
    if exclusive and len(parts) > 1:
        message = f"{exclusive[0]} draws batches of its own and goes with no other method; name one"
        raise OptionError(("method",), message)
    return Objective(terms, class_counts)


def evaluations(parts: Iterable[Part], classes: int) -> NetworkEvaluations:
    """Return the network evaluations per image of an objective, with this number of classes."""
    return sum((p.module.evaluations(p.options, classes) for p in parts), BASE_EVALUATIONS)


class Objective(nn.Module):
    """The denoising loss with any terms; parameters of terms are trained with the network's.

    Each flag of a `Term` is set here if any term sets it. `groups` (G, C) is 1 where a class, of C,
    belongs to a third of the classes, of G; see `ltdm.core.thirds`.
    """

    groups: Tensor

    def __init__(self, terms: list[Term], class_counts: Sequence[int]):
        super().__init__()
        self.terms = terms
        self.remembered = nn.ModuleList(terms)  # states hold the terms' buffers under this name
        self.needs_conditional_network = any(t.needs_conditional_network for t in terms)
        self.plain = next((t.plain for t in terms if t.plain), "")
        self.class_blocks = any(t.class_blocks for t in terms)
        self.network_per_class = any(t.network_per_class for t in terms)
        self.step_per_class = any(t.step_per_class for t in terms)
        self.needs_bottleneck_width = any(t.needs_bottleneck_width for t in terms)
        self.log_by_class_group = [name for t in terms for name in t.log_by_class_group]
        members = thirds(class_counts)
        self.group_names = [*members]
        groups = torch.zeros(len(members), len(class_counts))
        for row, classes in zip(groups, members.values(), strict=True):
            row[classes] = 1
        self.register_buffer("groups", groups, persistent=False)

    def bind(self, net: nn.Module, seed: int) -> None:
        """Let each term make its own layers for a network; `seed` is the run's."""
        for term in self.terms:
            term.bind(net, seed)

    def label_role(self, conditional: bool) -> str:
        """Return what labels are: the network's "input", selectors of a "network", or "nothing"."""
        if self.network_per_class:
            return "network"
        return "input" if conditional else "nothing"

    def draw(
        self, batch: Batch, process: Process, rng: Generators, noise: Tensor | None = None
    ) -> Draws:
        """Return the draws of a batch: noise (B, C, H, W), unless given, targets and queries."""
        noisy = make_noisy(batch, process, draw_noise(batch.x0, rng) if noise is None else noise)
        for term in self.terms:
            noisy = noisy._replace(target=term.target(noisy, batch, process, rng))
        return Draws(noisy, [term.query(noisy, batch, rng) for term in self.terms])

    def loss(self, net: Net, process: Process, draws: Draws) -> dict[str, Tensor]:
        """Return losses by name, each (B,); the mean over images of their sum is minimised.

        `denoise` is the mean squared error of F. Where the process learns its expected size at each
        noise level, all losses are divided by it, and `uncertainty` is the change of `denoise`.
        """
        noisy, pairs = draws.noisy, zip(self.terms, draws.queries, strict=True)
        queries = [(term, query) for term, query in pairs if query]
        own, others = _query_network(net, noisy.inputs, [query for _, query in queries])
        denoise = mse(own.F, noisy.target)
        losses = {"denoise": denoise}
        for (term, query), other in zip(queries, others, strict=True):
            losses |= term.extra_losses(noisy, own, query, other)
        losses = _apply_logvar(losses, process.logvar(noisy.level))
        for term in self.terms:
            weights = term.image_weights(noisy, denoise.detach())
            if weights is not None:
                losses = {name: weights * values for name, values in losses.items()}
        return losses

    def group_sums(self, losses: dict[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Return sums of losses over the images of each group, of classes (B,), as scalars.

        `losses` are those of `loss`. The sums, of the losses in `log_by_class_group` alone, are
        called `<loss>@<group>`; the numbers of images are called `images@<group>`.
        """
        if not self.log_by_class_group:
            return {}
        members = self.groups[:, classes]  # no product of matrices, which TF32 would round
        sums = {name: (losses[name].detach() * members).sum(1) for name in self.log_by_class_group}
        sums["images"] = members.sum(1)
        return {
            f"{name}@{group}": value
            for name, values in sums.items()
            for group, value in zip(self.group_names, values, strict=True)
        }


def _query_network(
    net: Net, own: Inputs, queries: list[Query]
) -> tuple[Prediction, list[Prediction]]:
    """Return the network's outputs for the batch, and for each query.

    Queries that need F with a gradient join the batch's call; the others have calls of their own.
    """
    parts, joint, own_z, plain = [own], [], False, ""
    for k, query in enumerate(queries):
        if query.labels is None:
            own_z, plain = own_z or query.outputs != "F", plain or query.plain
        elif query.gradient and query.outputs != "z":
            joint.append(k)
            parts.append(own.repeat_with(query.labels))
    inputs, sizes = Inputs.concatenate(parts), [len(part.x) for part in parts]
    own_plain = Prediction()
    if own_z or plain or any(queries[k].outputs == "both" for k in joint):
        rows = PlainRows(len(own.x), plain == "shared") if plain else NO_PLAIN_ROWS
        F, z, *F_plain = net.all_outputs(*inputs, plain=rows)
        predictions = [Prediction(*p) for p in zip(F.split(sizes), z.split(sizes), strict=True)]
        own_plain = Prediction(*F_plain)
    else:
        predictions = [Prediction(F) for F in net(*inputs).split(sizes)]
    joined = dict(zip(joint, predictions[1:], strict=True))
    others = []
    for k, query in enumerate(queries):
        if query.labels is None:
            others.append(own_plain if query.plain else Prediction())
        elif k in joined:
            others.append(joined[k])
        else:
            inputs = own.repeat_with(query.labels)
            others.append(_query_separately(net, inputs, query.gradient, len(own.x)))
    return predictions[0], others


def _apply_logvar(losses: dict[str, Tensor], u: Tensor | None) -> dict[str, Tensor]:
    """Return the losses by name, (B,) each, weighed by e^-u; u (B,) is the learnt log loss.

    `denoise` is unchanged, and `uncertainty` adds what makes it e^-u denoise + u. Only these two
    train u: the other losses are weighed by e^-u without its gradient. None leaves all unchanged.
    Source: EDM2; see `ltdm.diffusion.edm`.
    """
    if u is None:
        return losses
    weight, denoise = (-u).exp(), losses["denoise"]
    constant = weight.detach()
    others = {name: constant * values for name, values in losses.items() if name != "denoise"}
    return {"denoise": denoise, "uncertainty": (weight - 1) * denoise + u, **others}


def _query_separately(net: Net, inputs: Inputs, gradient: bool, size: int) -> Prediction:
    """Return the network's outputs for a query, in calls of their own: z with a gradient, or F.

    `size` is that of the batch, of which the inputs are one or several.

    Without a gradient, a call takes as many batches as give at least `MIN_QUERY_ROWS` rows: it
    fills a GPU, and memory stays bounded. Where the last call would have another shape, which is
    compiled separately, calls of up to twice as many rows are tried for one without remainder.
    """
    if gradient:
        return Prediction(z=net.bottleneck(*inputs))
    batches, minimum = len(inputs.x) // size, -(-MIN_QUERY_ROWS // size)
    per_call = next((k for k in range(minimum, 2 * minimum) if batches % k == 0), minimum)
    calls = zip(*(t.split(per_call * size) for t in inputs if t is not None), strict=True)
    with torch.no_grad():
        outputs = [net(*call) for call in calls]
    return Prediction(torch.cat(outputs))
