"""Querying full batches gives the losses and gradients of querying the labelled rows alone.

The reference queries the network on the images with a label only, and scatters the losses over the
batch. It draws the same labels and peers.
"""

import copy

import pytest
import torch

from ltdm.methods import ccua
from ltdm.methods._base import draw_noise, make_noisy, mse
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.training import CPU, EDM2, SPEC, data

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


class FullPrecisionNet:
    """A network with the calls that methods make, in its own precision."""

    def __init__(self, net):
        self.net = net

    def __call__(self, *inputs):
        return self.net(*inputs)

    def all_outputs(self, *inputs, **options):
        return self.net(*inputs, outputs="both", **options)

    def bottleneck(self, *inputs):
        return self.net(*inputs, outputs="z")

    def losses(self, method, batch, process, rng):
        return method.loss(self, process, method.draw(batch, process, rng))


class LabelledRowsReference:
    """Losses of a batch whose terms query the images with a label only."""

    def __init__(self, net):
        self.net = net

    def query(self, noisy, rows, labels, want="F"):
        if not len(rows):  # EDM2's norms take no empty batch
            return noisy.noise[rows]
        return self.net(noisy.inputs.x[rows], noisy.inputs.level[rows], labels, None, outputs=want)

    def __call__(self, method, batch, process, rng):
        noisy = make_noisy(batch, process, draw_noise(batch.x0, rng))
        for term in method.terms:
            noisy = noisy._replace(target=term.target(noisy, batch, process, rng))
        queries = [term.query(noisy, batch, rng) for term in method.terms]  # for their draws
        F, z = self.net(*noisy.inputs, outputs="both")
        losses = {"denoise": mse(F, noisy.target)}
        rows = noisy.has_label.nonzero()[:, 0]
        for term, query in zip(method.terms, queries, strict=True):
            if query is not None:
                losses |= self.term(term, query, noisy, F, z, rows)
        u = process.logvar(noisy.level)
        if u is not None:
            weight, denoise = (-u).exp(), losses["denoise"]
            losses = {k: weight.detach() * v for k, v in losses.items()}
            losses |= {"denoise": denoise, "uncertainty": (weight - 1) * denoise + u}
        for term in method.terms:
            weights = term.image_weights(noisy, losses["denoise"].detach())
            if weights is not None:
                losses = {k: weights * v for k, v in losses.items()}
        return losses

    def term(self, term, query, noisy, F, z, rows):
        name, options = type(term).__name__, term.options
        s = noisy.progress[rows].to(F.dtype)
        labels = query.labels.view(-1, len(F))[:, rows]
        if name == "CBDM":
            other = self.query(noisy, rows, labels[0])
            commitment = options.commitment_weight * mse(F[rows].detach(), other)
            gap = mse(F[rows], other.detach()) + commitment
            return {"balance": self.scatter(F, rows, options.tau * s * gap)}
        if name == "IGD":
            with torch.no_grad():
                others = [self.query(noisy, rows, each) for each in labels]
            weight = options.beta / len(others) / (2 if options.mode == "released" else 1)
            gap = sum(weight * s * mse(F[rows], other) for other in others)
            return {"mutual": self.scatter(F, rows, gap)}
        other, bottleneck = self.query(noisy, rows, labels[0], "both")
        losses = {}
        if options.ucl:
            z = z.index_copy(0, rows, bottleneck)
            losses["contrast"] = options.ucl * noisy.progress * ccua.contrast(z, options.kappa)
        if options.al:
            losses["align"] = self.scatter(F, rows, options.al * s * mse(F[rows], other))
        return losses

    @staticmethod
    def scatter(F, rows, values):
        return torch.zeros(len(F), dtype=values.dtype).index_add(0, rows, values)


def build_trainer(method, network):
    train = {**SPEC["train"], "steps": 15, "batch_size": 9, "label_dropout": 0.3, "warmup_steps": 0}
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
    ("network", "dtype", "tolerance"),
    [("unet", torch.float32, 1e-6), ("edm2", torch.float64, 1e-12)],
)
@pytest.mark.parametrize("method", METHODS)
def test_static_shapes_change_no_loss_and_no_gradient(method, network, dtype, tolerance):
    """Losses and gradients from the same state agree at each of 15 training steps."""
    trainer, dropped = build_trainer(method, network), 0
    for _ in range(15):
        net, process = (copy.deepcopy(m).to(dtype) for m in (trainer.net, trainer.process))
        pairs = []
        for losses_of in (FullPrecisionNet(net).losses, LabelledRowsReference(net)):
            terms = copy.deepcopy(trainer.method).to(dtype)
            trainer._fill_inputs()
            batch = trainer.batches.make(*trainer.inputs)
            batch = batch._replace(x0=batch.x0.to(dtype))
            dropped += int((~batch.has_label).sum())
            results = [
                losses_of(terms, part, process, rng) for part, rng in trainer._substeps(batch)
            ]
            pairs.append([(losses, gradient(losses, [net, process])) for losses in results])
        for (losses, grad), (expected, expected_grad) in zip(*pairs, strict=True):
            assert losses.keys() == expected.keys()
            largest = sum(values.abs() for values in expected.values()).max()
            for name, values in losses.items():
                assert ((values - expected[name]).abs().max() / largest).item() < tolerance
            assert ((grad - expected_grad).norm() / expected_grad.norm()).item() < tolerance
        trainer.step()
    assert dropped > 40
