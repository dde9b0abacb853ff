"""One network per class: equal to training each class alone, and to DDPM with one class."""

import copy

import numpy as np
import pytest
import torch

from ltdm.core.seeding import owner_seeds
from ltdm.diffusion._model import Model
from ltdm.networks import unet
from ltdm.networks._per_class import PerClassNetworks, extract_network
from ltdm.plumbing.options import parse
from ltdm.samplers._generate import SampleGenerator
from ltdm.samplers._options import SampleOptions
from ltdm.training.setup import Recipe, make_trainer, model_metadata
from tests.helpers.training import CPU, SPEC, data, run


@pytest.fixture(autouse=True)
def _save_always(monkeypatch):
    """Save the state at every row of the history."""
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")


GAME = {"name": "igd", "mode": "separate"}


def trainer(images, labels, method, seed=0, **train):
    train = {**SPEC["train"], "batch_size": 9, "grad_clip": 0.5, **train}
    return make_trainer(
        Recipe.from_spec({**SPEC, "method": method, "train": train}), seed, images, labels, CPU
    )


def weights(learner, k=None, ema=True):
    """Return the weights, or those of the network of class k."""
    state = learner.ema.state_dict() if ema else learner.net.state_dict()
    return state if k is None else extract_network(state, k)


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) for k, v in a.items())


@pytest.mark.parametrize("options", [{}, {"class_sampling": "balanced", "augment": "flip"}])
@pytest.mark.parametrize("ema", [True, False])
def test_with_beta_zero_each_network_equals_its_class_trained_alone(options, ema):
    """To the bit: dropout, noise, batches, clipping, Adam and averages are per network."""
    images, labels = data()
    game = trainer(images, labels, {**GAME, "beta": 0}, label_dropout=0.0, **options)
    run(game)
    for k, seed in enumerate(owner_seeds(0, 3)):
        own_images = images[labels == k]
        zeros = np.zeros(len(own_images), np.int64)
        alone = trainer(
            own_images, zeros, "ddpm", seed, label_dropout=1.0, **{**options, "batch_size": 3}
        )
        run(alone)
        assert equal(weights(game, k, ema), weights(alone, ema=ema))


def test_one_class_equals_ddpm():
    images, labels = data()[0], np.zeros(40, np.int64)
    game = trainer(images, labels, {**GAME, "beta": 0}, label_dropout=0.0)
    plain = trainer(images, labels, "ddpm", label_dropout=1.0)
    run(game)
    run(plain)
    assert equal(weights(game, 0), weights(plain))
    assert game.history == plain.history


def test_peers_change_the_weights_and_a_resumed_game_is_equal_to_the_bit():
    games = [
        trainer(*data(), {**GAME, "beta": beta, "peers": {"sample": 1}}, label_dropout=0.0)
        for beta in (0.5, 0.0)
    ]
    saved = [run(game) for game in games]
    assert not equal(weights(games[0]), weights(games[1]))
    resumed = trainer(*data(), {**GAME, "beta": 0.5, "peers": {"sample": 1}}, label_dropout=0.0)
    saved[0][1].seek(0)
    resumed.resume(torch.load(saved[0][1], weights_only=True))
    run(resumed)
    assert equal(weights(games[0]), weights(resumed))


def test_images_of_a_class_come_from_its_own_network():
    game = trainer(*data(), {**GAME, "beta": 0}, label_dropout=0.0, steps=3)
    run(game)
    spec = {"sampler": {"name": "ddim", "steps": 3}, "num_images": 12}
    options, about = parse(SampleOptions, spec), model_metadata(Recipe.from_spec(SPEC), game)
    labels = np.arange(12) % 3
    model = Model.from_tensors(game.ema.state_dict(), about, "fp32", CPU)
    images = SampleGenerator(model, options, 5).generate(labels, np.arange(12))
    for k in range(3):
        own = {**about, "label": "nothing"}
        sampling = SampleGenerator(
            Model.from_tensors(weights(game, k), own, "fp32", CPU), options, 5
        )
        rows = np.flatnonzero(labels == k)
        assert (images[rows] == sampling.generate_batch(np.full(4, -1), rows)).all()
    assert (images[0] != images[1]).any()


def networks(n=3):
    torch.manual_seed(0)
    options = unet.Options(ch=8, norm_groups=4, ch_mult=(1, 2), num_res_blocks=1, dropout=0.0)
    nets = [unet.build(options, 1, 8, 0, augment_dim=9) for _ in range(n)]
    for net in nets:
        for p in net.parameters():
            p.data += 0.05 * torch.randn_like(p)
    return PerClassNetworks(copy.deepcopy(nets)), nets


def test_a_label_selects_the_network():
    per_class, nets = networks()
    x, level = torch.randn(6, 1, 8, 8), torch.arange(6)
    labels, augment = torch.tensor([2, 0, 1, 1, 2, 0]), torch.randn(6, 9)
    F = per_class(x, level, labels, augment)
    for i, y in enumerate(labels.tolist()):
        own = slice(i, i + 1)
        alone = nets[y](x[own], level[own], None, augment[own])
        torch.testing.assert_close(F[own], alone)
    with pytest.raises(ValueError, match=r"5 rows .* 3 networks"):
        per_class(x[:5], level[:5], labels[:5])


def test_vmapped_networks_are_the_same_function_with_the_same_gradient():
    per_class = networks()[0].double()
    inputs = torch.randn(3, 4, 1, 8, 8).double(), torch.arange(12).view(3, 4), None, None
    gradients, outputs = [], []
    for forward in (per_class.forward_sequential, per_class.forward_vmapped):
        per_class.zero_grad()
        outputs.append(forward(*inputs))
        outputs[-1].square().sum().backward()
        present = ((p, p.grad) for p in per_class.parameters())
        gradients.append([torch.zeros_like(p) if g is None else g.clone() for p, g in present])
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(*gradients)


def test_released_mode_steps_once_per_class_and_averages_once_per_round():
    """The history counts rounds of the classes; Adam counts optimiser steps."""
    learner = trainer(*data(), {**GAME, "mode": "released", "beta": 1.0})
    run(learner)
    steps = {int(s["step"]) for s in learner.optimiser.state_dict()}
    assert steps == {3 * SPEC["train"]["steps"]}
    assert learner.history[-1]["images"] == 9 * SPEC["train"]["steps"]
    assert learner.net.label_embedding is not None


def test_released_mode_steps_classes_in_turn():
    """The second class, and its peers, run with the weights after the first class's step."""
    learner = trainer(*data(), {**GAME, "mode": "released"}, warmup_steps=0)
    before, calls = [p.clone() for p in learner.net.parameters()], []
    loss = learner.method.loss

    def recorded(net, process, draws):
        unchanged = all(map(torch.equal, before, learner.net.parameters()))
        calls.append((draws.queries[0].labels.unique().tolist(), unchanged))
        return loss(net, process, draws)

    learner.method.loss = recorded
    learner.step()
    assert calls == [([1, 2], True), ([0, 2], False), ([0, 1], False)], "the peers of each class"
