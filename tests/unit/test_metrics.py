import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prdc import compute_prdc
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from ltdm.metrics import frechet, kid, precision_recall
from ltdm.metrics._groups import groups


class Identity(nn.Module):
    """Features that are their own images, for the oracles."""

    num_features = 12

    def forward(self, x):
        return x


def value(metric, real, fake, **options):
    return metric.score(real, fake, metric.Options(**options))


def oracle(metric, real, fake):
    metric.set_dtype(torch.float64)
    metric.update(torch.from_numpy(real), real=True)
    metric.update(torch.from_numpy(fake), real=False)
    return metric.compute()


def test_frechet_agrees_with_torchmetrics(features):
    expected = oracle(FrechetInceptionDistance(Identity()), *features).item()
    assert value(frechet, *features)["frechet"] == pytest.approx(expected, rel=1e-6)


def test_kid_agrees_with_torchmetrics(features):
    real, fake = features[0][:110], features[1]
    mean, _ = oracle(KernelInceptionDistance(Identity(), subsets=1, subset_size=110), real, fake)
    assert value(kid, real, fake)["kid"] == pytest.approx(mean.item(), rel=1e-6)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_recall_agree_with_prdc(features, k):
    expected = compute_prdc(*features, nearest_k=k)
    for name, found in value(precision_recall, *features, k=k).items():
        assert found == pytest.approx(expected[name], rel=1e-6)
        assert 0 < found < 1, "a case that tells nothing"


def test_frechet_of_a_shifted_set_is_the_squared_shift(features):
    shift = np.arange(12.0)
    assert value(frechet, features[0], features[0] + shift)["frechet"] == pytest.approx(
        (shift**2).sum(), rel=1e-9
    )


def test_frechet_of_scaled_axes_has_a_closed_form():
    x = np.random.default_rng(1).normal(size=(400, 6))
    x = np.linalg.qr(x - x.mean(0))[0] * np.sqrt(399)  # mean 0, covariance 1
    a, b = np.arange(1, 7.0), np.linspace(0.5, 2, 6)
    expected = ((a - b) ** 2).sum()
    assert value(frechet, x * a, x * b)["frechet"] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("n", [2, 5, 11, 12, 13, 150])
def test_identical_sets(features, n):
    same = features[0][:n]
    scale = same.var(axis=0).sum()
    assert abs(value(frechet, same, same)["frechet"]) < 1e-7 * scale


def test_both_forms_of_frechet_agree_where_either_would_do(features):
    """Padding features with constants makes the covariance singular and changes no distance."""
    padded = [np.pad(x, ((0, 0), (0, 300))) for x in features]
    assert value(frechet, *padded)["frechet"] == pytest.approx(
        value(frechet, *features)["frechet"], rel=1e-9
    )


def test_kid_is_unbiased():
    stream = np.random.default_rng(0)
    draws = [value(kid, *stream.normal(size=(2, 20, 4)))["kid"] for _ in range(400)]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / 20


def test_kid_subsets_estimate_the_whole():
    stream = np.random.default_rng(0)
    pair = stream.normal(size=(150, 12)), stream.normal(size=(110, 12)) + 0.5
    whole, part = (value(kid, *pair, subsets=400, subset_size=n)["kid"] for n in (1000, 60))
    assert part == pytest.approx(whole, rel=0.05)
    assert part != whole
    assert part == value(kid, *pair, subsets=400, subset_size=60)["kid"], "its draws have an owner"


def test_precision_and_recall_know_a_dropped_mode_from_a_bad_one():
    stream = np.random.default_rng(0)
    left, right = stream.normal(size=(200, 3)), stream.normal(size=(200, 3)) + 50
    both = np.concatenate([left, right])
    dropped = value(precision_recall, both, left + 1e-3)
    assert dropped["precision"] > 0.95
    assert dropped["recall"] < 0.6
    nowhere = value(precision_recall, left, right)
    assert nowhere == {"precision": 0.0, "recall": 0.0}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.1, 10))
def test_invariances(seed, scale):
    stream = np.random.default_rng(seed)
    real, fake = stream.normal(size=(30, 5)), stream.normal(size=(25, 5)) + 0.5
    rotate = np.linalg.qr(stream.normal(size=(5, 5)))[0]
    order = stream.permutation(30)
    base = value(frechet, real, fake)["frechet"]
    assert value(frechet, fake, real)["frechet"] == pytest.approx(base, rel=1e-8)
    assert value(frechet, real[order], fake)["frechet"] == pytest.approx(base, rel=1e-8)
    moved = value(frechet, scale * real @ rotate, scale * fake @ rotate)["frechet"]
    assert moved == pytest.approx(scale**2 * base, rel=1e-6)
    balls = value(precision_recall, real, fake)
    assert value(precision_recall, scale * real @ rotate, scale * fake @ rotate) == balls
    assert value(kid, fake, real)["kid"] == pytest.approx(value(kid, real, fake)["kid"])


def test_thirds_follow_the_training_counts():
    found = groups([5, 80, 20, 40, 10, 160, 3], ("all", "thirds"))
    assert found["head"] == [5, 1, 3]
    assert found["medium"] == [2, 4]
    assert found["tail"] == [0, 6]
    assert sorted(found["all"]) == list(range(7))
    assert "class-0" not in found
