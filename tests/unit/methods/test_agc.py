"""Anti-gradient control: the vectorised bank against a loop, as the paper writes it."""

import pytest
import torch

from ltdm.methods import agc
from tests.helpers.methods import Net, batch, double_process, generators, loss, objective


def one_by_one(bank, place, loss, options):
    """Weights by the bank before the update; then each image in turn moves it."""
    keep = [options.ratio * v >= bank[p] for p, v in zip(place, loss, strict=True)]
    weights = [len(keep) * k / max(1, sum(keep)) for k in keep]
    for p, v in zip(place, loss, strict=True):
        bank[p] = options.decay * bank[p] + (1 - options.decay) * v
    return weights, bank


@pytest.mark.parametrize("ratio", [2.0, 0.7])
def test_vectorised_is_sequential(ratio):
    options = agc.Options(ratio=ratio, decay=0.8, bins=7)
    term, bank = agc.build(options, []).double(), [0.0] * 7
    draw = torch.Generator().manual_seed(1)
    skipped = 0
    for _ in range(40):
        place = torch.randint(7, (33,), generator=draw)
        loss = torch.rand(33, generator=draw, dtype=torch.float64)
        noisy = type("At", (), {"progress": place.double() / 7})()
        weights = term.image_weights(noisy, loss)
        expected, bank = one_by_one(bank, place.tolist(), loss.tolist(), options)
        torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float64))
        torch.testing.assert_close(term.bank, torch.tensor(bank, dtype=torch.float64))
        skipped += expected.count(0)
    assert 0 < skipped < 40 * 33


def test_skipped_images_give_no_gradient_and_the_rest_are_renormalised():
    process, data = double_process(), batch([0, 1, 2, 3])
    method, net = objective("agc"), Net()
    plain = loss(objective("ddpm"), Net(), data, process, generators())["denoise"]
    levels = process.draw(4, generators().shared)
    method.remembered[0].bank[levels[0]] = 1e6  # the first image is fitted far too well
    terms = loss(method, net, data, process, generators())
    torch.testing.assert_close(terms["denoise"].mean(), plain[1:].mean())
    terms["denoise"].mean().backward()
    assert net.rows.grad[0] == 0 and (net.rows.grad[1:4] != 0).all()


def test_all_skipped_is_a_loss_of_zero():
    method = objective("agc")
    method.remembered[0].bank.fill_(1e6)
    terms = loss(method, Net(), batch([0, 1]), double_process(), generators())
    assert terms["denoise"].tolist() == [0, 0]


def test_the_bank_is_remembered_with_the_run():
    assert objective("ddpm", "agc").state_dict()["remembered.1.bank"].shape == (1000,)


def test_levels_of_the_process_have_a_place_each():
    """t / T times T is t again for every t, whatever the rounding."""
    term, process = agc.build(agc.Options(decay=0.0), []), double_process()
    t = torch.arange(1000)
    term.image_weights(type("At", (), {"progress": process.progress(t)})(), 1.0 + t.float())
    assert torch.equal(term.bank, 1.0 + t.float())
