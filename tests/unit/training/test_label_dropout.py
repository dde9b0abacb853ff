"""Batches without labels, as in the released codes: Adam then skips the label embedding.

The reference is a training loop as those codes have it: in a batch whose labels are dropped the
network has no label embedding at all, so its weights have no gradient (None), and Adam skips them.
"""

import copy

import pytest
import torch

from ltdm.methods._base import draw_noise, make_noisy, mse
from ltdm.networks import edm2, mlp, unet
from ltdm.networks._embedding import label_parameters
from ltdm.training.schedule import learning_rate
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.training import CPU, METHODS, SPEC, data, run, same

UPDATES = {"cbdm": 1, "ccua": 1, "released": 3}
"""Optimiser steps per training step, by method; `released` makes one per class."""
SMALL = {"ch": 8, "norm_groups": 2, "ch_mult": [1], "attn": [0], "num_res_blocks": 1}


def learner_of(name, per="batch", **train):
    """Return a trainer whose network is small and has no dropout.

    Its last layers are not near zero as at a usual start, so that labels matter from then on.
    """
    train = {**SPEC["train"], "label_dropout": 0.4, "label_dropout_per": per, **train}
    network = {**SPEC["network"], **SMALL, "dropout": 0.0}
    spec = {**SPEC, "network": network, "method": METHODS[name], "train": train}
    learner, rng = make_trainer(Recipe.from_spec(spec), 0, *data(), CPU), torch.Generator()
    with torch.no_grad():
        for p in learner.net.parameters():
            p += 0.1 * torch.randn(p.shape, generator=rng.manual_seed(p.numel()))
    return learner


class DoubleNet:
    """The calls of a network that methods make, in its own precision, float64."""

    def __init__(self, net):
        self.net = net

    def __call__(self, x, *rest):
        return self.net(x.double(), *rest)

    def all_outputs(self, x, *rest, **options):
        return self.net(x.double(), *rest, outputs="both", **options)


def in_double(learner):
    """Return the same training from its start in float64."""
    modules = (m.double() for m in (learner.net, learner.method, learner.process))
    double = type(learner)(*modules, learner.batches, learner.options, 0)
    double.predict = DoubleNet(double.net)
    return double


class ReferenceLoop:
    """Plain Adam on the draws of a trainer; the label embedding exists in labelled batches only."""

    def __init__(self, learner):
        self.learner, self.net = learner, learner.net
        self.table = self.net.label_embedding
        self.adam = torch.optim.Adam(
            self.net.parameters(), learner.options.adam_betas[0], foreach=False, fused=False
        )
        self.params, self.dropped = list(self.net.parameters()), 0

    def step(self):
        """Make the updates of one training step."""
        learner = self.learner
        learner._fill_inputs()
        lr = learning_rate(learner.options, learner.step_count, learner.batches.size)
        self.adam.param_groups[0]["lr"] = lr
        for batch, rng in learner._substeps(learner.batches.make(*learner.inputs)):
            noisy = make_noisy(batch, learner.process, draw_noise(batch.x0, rng))
            (term,) = learner.method.terms
            labels = term.query(noisy, batch, rng).labels
            labelled = bool(batch.has_label.all())
            assert labelled == bool(batch.has_label.any())
            self.dropped += not labelled
            self.net.label_embedding = self.table if labelled else None
            self.adam.zero_grad(set_to_none=True)
            self.loss(type(term).__name__, noisy, labels, labelled).backward()
            assert (self.table.weight.grad is not None) == labelled
            torch.nn.utils.clip_grad_norm_(self.params, 1.0)
            self.adam.step()
        learner.step_count += 1

    def loss(self, method, noisy, labels, labelled):
        """Return the loss; a batch without labels has no other terms than those that need none."""
        x, level = noisy.inputs.x.double(), noisy.inputs.level

        def F(own_labels):
            return self.net(x, level, own_labels, None)

        F_own = F(noisy.inputs.labels)
        loss, s = mse(F_own, noisy.noise), noisy.progress.double()
        if method == "CCUA":
            F_none, z = self.net(x, level, labels, None, outputs="both")
            z = z / z.norm(dim=1, keepdim=True)
            loss = loss - s * (z @ z.T / 0.1).log_softmax(1).diagonal()
            return (loss + labelled * s * mse(F_own, F_none)).mean()
        if labelled and method == "CBDM":
            F_other = F(labels)
            loss = loss + s * (mse(F_own, F_other.detach()) + mse(F_own.detach(), F_other) / 4)
        if labelled and method == "IGD":
            peers = [mse(F_own, F(peer).detach()) for peer in labels.view(2, -1)]
            loss = loss + 0.1 / 2 * s * sum(peers) / 2
        return loss.mean()


@pytest.mark.parametrize("name", UPDATES)
def test_forty_updates_are_those_of_a_loop_whose_network_has_no_labels_in_dropped_batches(name):
    steps = -(-40 // UPDATES[name])
    one = in_double(learner_of(name))
    reference = ReferenceLoop(in_double(learner_of(name)))
    start = copy.deepcopy(one.optimiser.params)
    for _ in range(steps):
        one.step()
        reference.step()
    assert 10 <= reference.dropped <= 30
    states = one.optimiser.state_dict()
    pairs = {"movement": [], "exp_avg": [], "exp_avg_sq": []}
    for p, state, q, before in zip(
        one.optimiser.params, states, reference.params, start, strict=True
    ):
        expected = {"movement": q - before, **reference.adam.state[q]}
        own = {"movement": p - before, **state}
        assert own["step"] == expected["step"]
        for part in ("movement", "exp_avg", "exp_avg_sq"):
            pair = own[part], expected[part]
            pairs[part].append(pair)
            if q is reference.table.weight:
                assert relative([pair]) < 1e-10
    assert all(relative(pairs[part]) < 1e-10 for part in pairs)
    counts = {int(state["step"]) for state in states}
    assert counts == {steps * UPDATES[name], steps * UPDATES[name] - reference.dropped}


def relative(pairs):
    """Return the norm of the pairs' differences as a part of that of the second."""
    one, expected = (torch.cat([t.flatten() for t in side]) for side in zip(*pairs, strict=True))
    return ((one - expected).norm() / expected.norm()).item()


def record_tables(learner):
    """Record at each optimiser step whether it had a label, and if the table's state moved."""
    optimiser, moved = learner.optimiser, []
    (table,) = label_parameters(learner.net)
    plain = optimiser.step

    def step(has_label):
        state = [table.detach(), *optimiser.adam.state[table].values()]
        before = copy.deepcopy(state)
        norms = plain(has_label)
        equal = [torch.equal(*pair) for pair in zip(state, before, strict=True)]
        moved.append((bool(has_label.any()), equal))
        return norms

    optimiser.step = step
    return moved


@pytest.mark.parametrize("name", ["cbdm", "released"])
def test_a_dropped_batch_leaves_the_table_its_moments_and_its_step_count(name):
    learner = learner_of(name, warmup_steps=0)
    moved = record_tables(learner)
    for _ in range(12):
        learner.step()
    assert {labelled for labelled, _ in moved} == {True, False}
    for labelled, equal in moved:
        assert equal == [not labelled] * 4


def test_labels_dropped_per_image_by_chance_all_at_once_do_not_stop_adam():
    learner = learner_of("cbdm", per="image", batch_size=1, warmup_steps=0)
    moved = record_tables(learner)
    for _ in range(12):
        learner.step()
    first = [labelled for labelled, _ in moved].index(True)  # before it, there is nothing to move
    assert {labelled for labelled, _ in moved[first:]} == {True, False}
    assert all(equal == [False] * 4 for _, equal in moved[first:])


def test_averages_go_on_in_a_dropped_batch():
    """As in the released codes, where every average steps towards every weight."""
    learner = learner_of("ddpm", warmup_steps=0, ema_decay=0.5)
    name, moved = "label_embedding.weight", record_tables(learner)
    for _ in range(12):
        before = learner.ema.average[name].clone()
        learner.step()
        expected = before.lerp(learner.net.state_dict()[name], 0.5)
        assert torch.allclose(learner.ema.average[name], expected)
        assert not torch.equal(before, expected)
    assert not all(labelled for labelled, _ in moved)


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_without_dropped_or_labelled_batches_both_ways_of_dropping_are_one(dropout):
    one, other = (
        learner_of("ddpm", per=per, label_dropout=dropout, steps=6) for per in ("batch", "image")
    )
    for learner in (one, other):
        run(learner)
    assert same(one, other)
    assert len(label_parameters(one.net)) == (dropout < 1)


SHAPE = {"ch": 8, "norm_groups": 4, "ch_mult": (1,), "attn": ()}


@pytest.mark.parametrize(
    ("module", "options", "number"),
    [
        (unet, SHAPE, 1),
        (unet, {**SHAPE, "label_layers": True}, 5 + 2 * 7),  # of the embedding, and of 7 blocks
        (mlp, {}, 1),
        (edm2, {**SHAPE, "config": "C"}, 0),
    ],
)
def test_the_label_parameters_are_those_that_a_batch_without_labels_leaves(module, options, number):
    """EDM2's table has a vector for no label, which gets a gradient."""
    net = module.build(module.Options(**options), 1, 1 if module is mlp else 4, 3)
    x = torch.randn(2, 1, 4, 4) if module is not mlp else torch.randn(2, 1, 1, 1)
    with torch.no_grad():
        for p in net.parameters():
            p += 0.1 * torch.randn_like(p)
    F = net(x, torch.zeros(2), torch.tensor([-1, -1]))
    (F * torch.randn_like(F)).sum().backward()
    unused = [p for p in net.parameters() if p.grad is None or not p.grad.any()]
    found = label_parameters(net)
    assert [id(p) for p in found] == [id(p) for p in unused]
    assert len(found) == number
    assert label_parameters(module.build(module.Options(**options), 1, 4, 0)) == []
