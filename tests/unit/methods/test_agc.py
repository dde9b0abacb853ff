"""Anti-gradient control: the vectorised bank equals the paper's loop over images."""

import pytest
import torch

from ltdm.methods import agc
from tests.helpers.methods import Net, batch, double_process, generators, loss, objective


def loop_over_images(bank, bins, loss, options):
    """Return the weights by the bank before, and the bank after each image in turn."""
    keep = [options.ratio * v >= bank[k] for k, v in zip(bins, loss, strict=True)]
    weights = [len(keep) * flag / max(1, sum(keep)) for flag in keep]
    for k, v in zip(bins, loss, strict=True):
        bank[k] = options.decay * bank[k] + (1 - options.decay) * v
    return weights, bank


@pytest.mark.parametrize("ratio", [2.0, 0.7])
def test_vectorised_bank_equals_the_loop(ratio):
    options = agc.Options(ratio=ratio, decay=0.8, bins=7)
    term, bank = agc.build(options, []).double(), [0.0] * 7
    rng = torch.Generator().manual_seed(1)
    skipped = 0
    for _ in range(40):
        bins = torch.randint(7, (33,), generator=rng)
        loss = torch.rand(33, generator=rng, dtype=torch.float64)
        noisy = type("Noisy", (), {"progress": bins.double() / 7})()
        weights = term.image_weights(noisy, loss)
        expected, bank = loop_over_images(bank, bins.tolist(), loss.tolist(), options)
        torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float64))
        torch.testing.assert_close(term.bank, torch.tensor(bank, dtype=torch.float64))
        skipped += expected.count(0)
    assert 0 < skipped < 40 * 33


def test_skipped_images_give_no_gradient_and_the_rest_are_renormalised():
    process, data = double_process(), batch([0, 1, 2, 3])
    method, net = objective("agc"), Net()
    plain = loss(objective("ddpm"), Net(), data, process, generators())["denoise"]
    levels = process.draw_levels(4, generators().shared)
    method.remembered[0].bank[levels[0]] = 1e6  # so the first image's loss is far below the bank's
    terms = loss(method, net, data, process, generators())
    torch.testing.assert_close(terms["denoise"].mean(), plain[1:].mean())
    terms["denoise"].mean().backward()
    assert net.rows.grad[0] == 0 and (net.rows.grad[1:4] != 0).all()


def test_loss_is_zero_if_all_images_are_skipped():
    method = objective("agc")
    method.remembered[0].bank.fill_(1e6)
    terms = loss(method, Net(), batch([0, 1]), double_process(), generators())
    assert terms["denoise"].tolist() == [0, 0]


def test_the_bank_is_part_of_the_state():
    assert objective("ddpm", "agc").state_dict()["remembered.1.bank"].shape == (1000,)


def test_each_level_of_the_process_has_its_own_bin():
    """t / T times T rounds to t for every t."""
    term, process = agc.build(agc.Options(decay=0.0), []), double_process()
    t = torch.arange(1000)
    term.image_weights(
        type("Noisy", (), {"progress": process.noise_progress(t)})(), 1.0 + t.float()
    )
    assert torch.equal(term.bank, 1.0 + t.float())
