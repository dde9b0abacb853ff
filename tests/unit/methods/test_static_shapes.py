"""Questions about whole batches give the losses and gradients of questions about labelled rows.

The reference asks the network about the images with a label alone, as ltdm did before, and spreads
what comes of it over the batch. It draws the same labels and peers.
"""

import copy

import pytest
import torch

from ltdm.methods import ccua
from ltdm.methods._base import mse, noised
from ltdm.training.setup import Recipe, make_trainer
from tests.unit.training.test_training import CPU, EDM2, SPEC, data

pytestmark = pytest.mark.slow

SMALL = {"ch": 4, "norm_groups": 4, "ch_mult": [1], "attn": [0], "dropout": 0.0}
NETWORKS = {
    "unet": {"network": {"name": "unet", "num_res_blocks": 1, **SMALL}},
    "edm2": {**EDM2, "network": {"name": "edm2", "num_res_blocks": 1, **SMALL}},
}
METHODS = {
    "cbdm": "cbdm",
    "cbdm, no commitment": {"name": "cbdm", "commitment_weight": 0},
    "ccua": "ccua",
    "ccua, no contrast": {"name": "ccua", "ucl": 0},
    "ccua, no alignment": {"name": "ccua", "al": 0},
    "igd, one peer": {"name": "igd", "mode": "shared", "peers": {"sample": 1}},
    "igd, all peers": {"name": "igd", "mode": "shared"},
    "igd, released": {"name": "igd", "mode": "released"},
    "together": ["oclt", "cbdm", "agc", "ccua"],
}


class Network:
    """A network as methods ask it, in its own precision."""

    def __init__(self, net):
        self.net = net

    def __call__(self, *inputs):
        return self.net(*inputs)

    def both(self, *inputs):
        return self.net(*inputs, want="both")

    def bottleneck(self, *inputs):
        return self.net(*inputs, want="z")

    def losses(self, method, *given):
        return method.loss(self, *given)


class Dynamic:
    """The losses of a batch where terms ask about the images with a label alone."""

    def __init__(self, net):
        self.net = net

    def ask(self, at, rows, labels, want="F"):
        if not len(rows):  # EDM2's norms take no empty batch
            return at.noise[rows]
        return self.net(at.inputs.x[rows], at.inputs.level[rows], labels, None, want=want)

    def __call__(self, method, batch, process, rng):
        at = noised(batch, process, rng)
        for term in method.terms:
            at = at._replace(target=term.target(at, batch, process, rng))
        questions = [term.ask(at, batch, rng) for term in method.terms]  # for their draws
        F, z = self.net(*at.inputs, want="both")
        losses = {"denoise": mse(F, at.target)}
        rows = at.labelled.nonzero()[:, 0]
        for term, question in zip(method.terms, questions, strict=True):
            if question is not None:
                losses |= self.term(term, question, at, F, z, rows)
        u = process.log_error(at.level)
        if u is not None:
            weight, denoise = (-u).exp(), losses["denoise"]
            losses = {k: weight.detach() * v for k, v in losses.items()}
            losses |= {"denoise": denoise, "uncertainty": (weight - 1) * denoise + u}
        for term in method.terms:
            weights = term.weights(at, losses["denoise"].detach())
            if weights is not None:
                losses = {k: weights * v for k, v in losses.items()}
        return losses

    def term(self, term, question, at, F, z, rows):
        name, options = type(term).__name__, term.options
        s = at.progress[rows].to(F.dtype)
        labels = question.labels.view(-1, len(F))[:, rows]
        if name == "CBDM":
            other = self.ask(at, rows, labels[0])
            back = options.commitment_weight * mse(F[rows].detach(), other)
            gap = mse(F[rows], other.detach()) + back
            return {"balance": self.spread(F, rows, options.tau * s * gap)}
        if name == "IGD":
            with torch.no_grad():
                others = [self.ask(at, rows, each) for each in labels]
            weight = options.beta / len(others) / (2 if options.mode == "released" else 1)
            gap = sum(weight * s * mse(F[rows], other) for other in others)
            return {"mutual": self.spread(F, rows, gap)}
        other, bottleneck = self.ask(at, rows, labels[0], "both")
        found = {}
        if options.ucl:
            z = z.index_copy(0, rows, bottleneck)
            found["contrast"] = options.ucl * at.progress * ccua.contrast(z, options.kappa)
        if options.al:
            found["align"] = self.spread(F, rows, options.al * s * mse(F[rows], other))
        return found

    @staticmethod
    def spread(F, rows, values):
        return torch.zeros(len(F), dtype=values.dtype).index_add(0, rows, values)


def learner(method, network):
    train = {**SPEC["train"], "steps": 40, "batch_size": 9, "label_dropout": 0.3, "warmup_steps": 0}
    return make_trainer(
        Recipe.from_spec({**SPEC, **NETWORKS[network], "method": METHODS[method], "train": train}),
        0,
        *data(),
        CPU,
    )


def gradient(losses, modules):
    for module in modules:
        module.zero_grad(set_to_none=True)
    sum(values.mean() for values in losses.values()).backward()
    return torch.cat(
        [p.grad.flatten() for module in modules for p in module.parameters() if p.grad is not None]
    )


@pytest.mark.parametrize(
    ("network", "kind", "near"), [("unet", torch.float32, 1e-6), ("edm2", torch.float64, 1e-12)]
)
@pytest.mark.parametrize("method", METHODS)
def test_static_shapes_change_no_loss_and_no_gradient(method, network, kind, near):
    """From the same state, at each of 40 updates: the losses of images, the gradient's norm."""
    learnt, dropped = learner(method, network), 0
    for _ in range(40):
        net, process = (copy.deepcopy(one).to(kind) for one in (learnt.net, learnt.process))
        pairs = []
        for ask in (Network(net).losses, Dynamic(net)):
            terms = copy.deepcopy(learnt.method).to(kind)
            learnt._fill()
            batch = learnt.batches.make(*learnt.inputs)
            batch = batch._replace(x0=batch.x0.to(kind))
            dropped += int((~batch.labelled).sum())
            found = [ask(terms, part, process, rng) for part, rng in learnt._turns(batch)]
            pairs.append([(losses, gradient(losses, [net, process])) for losses in found])
        for (losses, found), (expected, wanted) in zip(*pairs, strict=True):
            assert losses.keys() == expected.keys()
            largest = sum(values.abs() for values in expected.values()).max()
            for name, values in losses.items():
                assert ((values - expected[name]).abs().max() / largest).item() < near
            assert ((found - wanted).norm() / wanted.norm()).item() < near
        learnt.step()
    assert dropped > 100
