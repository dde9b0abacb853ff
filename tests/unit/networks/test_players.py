"""One network a class: equal to training each class alone, and to DDPM where there is one class."""

import copy

import numpy as np
import pytest
import torch

from ltdm.core.seeding import owner_seeds
from ltdm.diffusion._model import Model
from ltdm.networks import unet
from ltdm.networks._players import Players, network_of
from ltdm.plumbing.options import parse
from ltdm.samplers._generate import SampleGenerator
from ltdm.samplers._options import SampleOptions
from ltdm.training.setup import Recipe, described, make_trainer
from tests.unit.training.test_training import CPU, SPEC, data, run


@pytest.fixture(autouse=True)
def _save_always(monkeypatch):
    """Save the state at every row of the history."""
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")


GAME = {"name": "igd", "mode": "separate"}


def trainer(images, labels, method, seed=0, **train):
    train = {**SPEC["train"], "batch_size": 9, "grad_clip": 0.5, **train}
    return make_trainer(
        Recipe.of({**SPEC, "method": method, "train": train}), seed, images, labels, CPU
    )


def weights(one, k=None, ema=True):
    """The weights, or those of one of separate networks."""
    state = one.ema.state_dict() if ema else one.net.state_dict()
    return state if k is None else network_of(state, k)


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) for k, v in a.items())


@pytest.mark.parametrize("options", [{}, {"class_sampling": "balanced", "augment": "flip"}])
@pytest.mark.parametrize("ema", [True, False])
def test_without_beta_each_network_is_its_class_trained_alone(options, ema):
    """To the bit: dropout, noise, batches, clipping, Adam and averages are each its own."""
    images, labels = data()
    game = trainer(images, labels, {**GAME, "beta": 0}, label_dropout=0.0, **options)
    run(game)
    for k, seed in enumerate(owner_seeds(0, 3)):
        mine = images[labels == k]
        nothing = np.zeros(len(mine), np.int64)
        alone = trainer(
            mine, nothing, "ddpm", seed, label_dropout=1.0, **{**options, "batch_size": 3}
        )
        run(alone)
        assert equal(weights(game, k, ema), weights(alone, ema=ema))


def test_one_class_is_ddpm():
    images, labels = data()[0], np.zeros(40, np.int64)
    game = trainer(images, labels, {**GAME, "beta": 0}, label_dropout=0.0)
    plain = trainer(images, labels, "ddpm", label_dropout=1.0)
    run(game)
    run(plain)
    assert equal(weights(game, 0), weights(plain))
    assert game.history == plain.history


def test_peers_change_what_is_learnt_and_a_stopped_game_goes_on_to_the_bit():
    games = [
        trainer(*data(), {**GAME, "beta": beta, "peers": {"sample": 1}}, label_dropout=0.0)
        for beta in (0.5, 0.0)
    ]
    saved = [run(game) for game in games]
    assert not equal(weights(games[0]), weights(games[1]))
    again = trainer(*data(), {**GAME, "beta": 0.5, "peers": {"sample": 1}}, label_dropout=0.0)
    saved[0][1].seek(0)
    again.resume(torch.load(saved[0][1], weights_only=True))
    run(again)
    assert equal(weights(games[0]), weights(again))


def test_images_of_a_class_come_from_its_network_alone():
    game = trainer(*data(), {**GAME, "beta": 0}, label_dropout=0.0, steps=3)
    run(game)
    spec = {"sampler": {"name": "ddim", "steps": 3}, "num_images": 12}
    options, about = parse(SampleOptions, spec), described(Recipe.of(SPEC), game)
    labels = np.arange(12) % 3
    model = Model.of(game.ema.state_dict(), about, "fp32", CPU)
    made = SampleGenerator(model, options, 5).images(labels, np.arange(12))
    for k in range(3):
        own = {**about, "label": "nothing"}
        sampling = SampleGenerator(Model.of(weights(game, k), own, "fp32", CPU), options, 5)
        mine = np.flatnonzero(labels == k)
        assert (made[mine] == sampling.batch(np.full(4, -1), mine)).all()
    assert (made[0] != made[1]).any()


def networks(n=3):
    torch.manual_seed(0)
    options = unet.Options(ch=8, norm_groups=4, ch_mult=(1, 2), num_res_blocks=1, dropout=0.0)
    made = [unet.build(options, 1, 8, 0, told=9) for _ in range(n)]
    for net in made:
        for p in net.parameters():
            p.data += 0.05 * torch.randn_like(p)
    return Players(copy.deepcopy(made)), made


def test_a_label_picks_the_network():
    players, nets = networks()
    x, level = torch.randn(6, 1, 8, 8), torch.arange(6)
    labels, told = torch.tensor([2, 0, 1, 1, 2, 0]), torch.randn(6, 9)
    found = players(x, level, labels, told)
    for i, y in enumerate(labels.tolist()):
        own = slice(i, i + 1)
        alone = nets[y](x[own], level[own], None, told[own])
        torch.testing.assert_close(found[own], alone)
    with pytest.raises(ValueError, match="5 rows cannot be shared by 3 networks alike"):
        players(x[:5], level[:5], labels[:5])


def test_the_stack_is_the_same_function_with_the_same_gradient():
    players = networks()[0].double()
    inputs = torch.randn(3, 4, 1, 8, 8).double(), torch.arange(12).view(3, 4), None, None
    grads, said = [], []
    for ask in (players.in_turn, players.stacked):
        players.zero_grad()
        said.append(ask(*inputs))
        said[-1].square().sum().backward()
        grads.append([torch.zeros_like(p) if p.grad is None else p.grad.clone()
                      for p in players.parameters()])  # fmt: skip
    torch.testing.assert_close(*said)
    torch.testing.assert_close(*grads)


def test_released_steps_once_a_class_and_averages_once_a_round():
    """Its history counts rounds; Adam counts the steps."""
    learner = trainer(*data(), {**GAME, "mode": "released", "beta": 1.0})
    run(learner)
    steps = {int(s["step"]) for s in learner.optimiser.state_dict()}
    assert steps == {3 * SPEC["train"]["steps"]}
    assert learner.history[-1]["images"] == 9 * SPEC["train"]["steps"]
    assert learner.net.label_embedding is not None


def test_released_players_update_one_after_the_other():
    """In the second turn the network has moved already: its peers are not those of the start."""
    learner = trainer(*data(), {**GAME, "mode": "released"}, warmup_steps=0)
    before, seen = [p.clone() for p in learner.net.parameters()], []
    plain = learner.method.loss

    def watched(net, batch, process, rng):
        seen.append((batch.classes.unique().tolist(),
                     all(map(torch.equal, before, learner.net.parameters()))))  # fmt: skip
        return plain(net, batch, process, rng)

    learner.method.loss = watched
    learner.step()
    assert seen == [([0], True), ([1], False), ([2], False)]
