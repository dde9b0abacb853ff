"""OC-LT: source weights, gates, and limits of the transferred targets."""

import pytest
import torch

from ltdm.methods import oclt
from ltdm.methods._base import draw_noise, make_noisy
from tests.helpers.methods import COUNTS, batch, double_process, generators

LABELS = [0, 1, 2, 3, 0, 1, 2, 3]


def term(**options):
    return oclt.build(oclt.Options(**options), COUNTS)


def images(n=8, scale=1.0):
    rng = torch.Generator().manual_seed(3)
    return scale * torch.randn(n, 1, 4, 4, generator=rng, dtype=torch.float64)


def at_level(level, data, process):
    noisy = make_noisy(data, process, draw_noise(data.x0, generators()))
    level = torch.full_like(noisy.level, level)
    return noisy._replace(level=level, progress=process.noise_progress(level))


def test_source_weights_are_the_softmax_of_distances():
    process, data = double_process(), batch(LABELS, x0=images())
    noisy = make_noisy(data, process, draw_noise(data.x0, generators()))
    sigma = process.sigma(noisy.level)
    weights = term(tr_tau=0.7).source_logits(data.x0, noisy.noise, sigma, data.classes).softmax(1)
    c = data.x0 + sigma[:, None, None, None] * noisy.noise
    distance = (c[:, None] - data.x0[None]).square().flatten(2).sum(2)
    prior = torch.tensor(COUNTS, dtype=torch.float64) / sum(COUNTS)
    expected = torch.exp(-distance / (2 * sigma[:, None] ** 2)) * prior[data.classes] ** 0.7
    torch.testing.assert_close(weights, expected / expected.sum(1, keepdim=True))


def test_near_the_clean_image_every_image_is_its_own_source():
    process, data = double_process(), batch(LABELS, x0=images())
    noisy = at_level(0, data, process)
    method = term(mode="full")
    weights = method.source_logits(
        data.x0, noisy.noise, process.sigma(noisy.level), data.classes
    ).softmax(1)
    torch.testing.assert_close(weights, torch.eye(8, dtype=torch.float64))
    assert torch.equal(method.target(noisy, data, process, generators()), noisy.noise)


@pytest.mark.parametrize("mode", ["t2h", "h2t", "full"])
def test_gates(mode):
    """At pure noise all sources are equally likely, so all that the gate accepts occur."""
    process, data = double_process(), batch(LABELS, x0=images(scale=0.01))
    noisy, method = at_level(999, data, process), term(mode=mode)
    transfers = torch.zeros(4, 4, dtype=torch.bool)
    for seed in range(200):
        noise = method.target(noisy, data, process, generators(seed))
        source = data.x0 + process.sigma(noisy.level)[:, None, None, None] * (noisy.noise - noise)
        match = (source[:, None] - data.x0[None]).abs().flatten(2).amax(2).argmin(1)
        transfers[data.classes, data.classes[match]] = True
    more = torch.tensor(COUNTS)[None, :] >= torch.tensor(COUNTS)[:, None]
    assert torch.equal(transfers, {"t2h": more, "h2t": more.T, "full": more | more.T}[mode])


def test_the_transferred_target_has_the_same_noisy_image():
    process, data = double_process(), batch(LABELS, x0=images())
    noisy, method = at_level(700, data, process), term(mode="full")
    noise = method.target(noisy, data, process, generators())
    x_t = process.corrupt(data.x0, noisy.noise, noisy.level)
    source = process.to_denoised(noise, x_t, noisy.level)
    error = (source[:, None] - data.x0[None]).abs().flatten(2).amax(2).amin(1)
    assert error.max() < 1e-5, "the target denoises x_t to an image of the batch"


def test_no_target_is_transferred_from_cut_time_on():
    process, data = double_process(), batch(LABELS, x0=images(scale=0.01))
    noisy = at_level(700, data, process)
    cut, free = (term(mode="full", cut_time=c) for c in (0.7, 0.71))
    assert torch.equal(cut.target(noisy, data, process, generators()), noisy.noise)
    assert not torch.equal(free.target(noisy, data, process, generators()), noisy.noise)


def test_sources_follow_their_weights():
    process, data = double_process(), batch(LABELS, x0=images(scale=0.3))
    noisy, method = at_level(300, data, process), term(mode="full")
    weights = method.source_logits(
        data.x0, noisy.noise, process.sigma(noisy.level), data.classes
    ).softmax(1)
    n, counts = 2000, torch.zeros(8, 8, dtype=torch.float64)
    for seed in range(n):
        noise = method.target(noisy, data, process, generators(seed))
        source = data.x0 + process.sigma(noisy.level)[:, None, None, None] * (noisy.noise - noise)
        match = (source[:, None] - data.x0[None]).abs().flatten(2).amax(2).argmin(1)
        counts[torch.arange(8), match] += 1
    error = (counts / n - weights) / (weights * (1 - weights) / n).sqrt().clamp(min=1e-3)
    assert error.abs().max() < 4.5, "64 frequencies: one chance in two thousand"


def test_label_dropout_does_not_change_targets():
    """The gate uses the classes, not the labels."""
    process, x0 = double_process(), images(scale=0.01)
    labelled, dropped = batch(LABELS, x0=x0), batch([-1] * 8, classes=LABELS, x0=x0)
    noisy = at_level(999, labelled, process)
    method = term()
    targets = [method.target(noisy, data, process, generators(5)) for data in (labelled, dropped)]
    assert torch.equal(*targets)
    assert not torch.equal(targets[0], noisy.noise)
