"""Distances against other implementations and closed forms; groups of classes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_fid import fid_score
from scipy import linalg
from torch import nn
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from ltdm.metrics import frechet, kid, prd
from ltdm.metrics import precision_recall as pr
from ltdm.metrics._groups import groups
from tests.helpers.scores import sample, value


class Identity(nn.Module):
    """An extractor whose features are the images themselves, for the oracles."""

    num_features = 12

    def forward(self, x):
        return x


def distance(real, fake):
    return value(frechet, real, fake)["frechet"]


def oracle(metric, real, fake):
    metric.set_dtype(torch.float64)
    metric.update(torch.from_numpy(real), real=True)
    metric.update(torch.from_numpy(fake), real=False)
    return metric.compute()


def test_frechet_agrees_with_torchmetrics(features):
    expected = oracle(FrechetInceptionDistance(Identity()), *features).item()
    assert distance(*features) == pytest.approx(expected, rel=1e-6)


def test_frechet_agrees_with_pytorch_fid(features, monkeypatch):
    """Newer SciPy has no argument `disp`, which pytorch-fid uses to get the error."""
    sqrtm = linalg.sqrtm
    monkeypatch.setattr(linalg, "sqrtm", lambda a, disp: (sqrtm(a), 0.0))
    statistics = [s for x in features for s in (x.mean(0), np.cov(x, rowvar=False))]
    expected = fid_score.calculate_frechet_distance(*statistics)
    assert distance(*features) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "m"), [(150, 110), (150, 9), (9, 110), (10, 8), (13, 13), (12, 12)])
def test_frechet_agrees_with_the_formula_whichever_set_is_small(features, n, m):
    real, fake = features[0][:n], features[1][:m]
    covariances = [np.cov(x, rowvar=False) for x in (real, fake)]
    overlap = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(min=0)).sum()
    expected = np.square(real.mean(0) - fake.mean(0)).sum() - 2 * overlap
    expected += sum(map(np.trace, covariances))
    assert distance(real, fake) == pytest.approx(expected, rel=1e-6)


def test_frechet_of_a_shifted_set_is_the_squared_shift(features):
    shift = np.arange(12.0)
    assert distance(features[0], features[0] + shift) == pytest.approx((shift**2).sum(), rel=1e-9)


def test_frechet_of_scaled_axes_has_a_closed_form():
    x = np.random.default_rng(1).normal(size=(400, 6))
    x = np.linalg.qr(x - x.mean(0))[0] * np.sqrt(399)  # mean 0, covariance 1
    a, b = np.arange(1, 7.0), np.linspace(0.5, 2, 6)
    assert distance(x * a, x * b) == pytest.approx(((a - b) ** 2).sum(), rel=1e-10)


@pytest.mark.parametrize("n", [2, 5, 11, 12, 13, 150])
def test_identical_sets(features, n):
    same = features[0][:n]
    assert abs(distance(same, same)) < 1e-7 * same.var(axis=0).sum()
    if n > 5:
        values = value(pr, same, same)
        assert values.pop("density") == pytest.approx(1, abs=0.4)
        assert values == {"precision": 1, "recall": 1, "coverage": 1}
    if n > 20:
        values = value(prd, same, same, num_clusterings=2)
        assert list(values.values()) == pytest.approx([1, 1], abs=1e-6)


def test_both_forms_of_frechet_agree(features):
    """Constant features make the covariance singular and do not change the distance."""
    padded = [np.pad(x, ((0, 0), (0, 300))) for x in features]
    actual, expected = (value(frechet, *sets) for sets in (padded, features))
    assert actual == pytest.approx(expected, rel=1e-6)


def test_frechet_infinity_removes_the_bias():
    """For two sets of one distribution the true distance is 0; the remaining error is noise."""
    rng = np.random.default_rng(0)
    real = rng.normal(size=(20000, 8))
    for extrapolate, n_real in (("generated", 20000), ("both", 400)):
        draws = []
        for _ in range(40):
            x = real if extrapolate == "generated" else rng.normal(size=(n_real, 8))
            fake = rng.normal(size=(400, 8))
            draws.append(value(frechet, x, fake, extrapolate=extrapolate))
        biased, limit = (np.mean([draw[name] for draw in draws]) for name in draws[0])
        assert biased > 0.05
        assert abs(limit) < 0.1 * biased, extrapolate


def test_frechet_infinity_is_the_line_through_set_halves_and_quarters(features):
    """Compare with a line by hand; each part must have the same class proportions."""
    real, fake = features[0], features[1][:80]
    labels = np.repeat([0, 1], 40)
    actual = frechet.score(sample(real), sample(fake, labels), frechet.Options())
    order = frechet._balanced_order(labels)
    assert all(labels[order[j::4]].mean() == 0.5 for j in range(4))
    means = [np.mean([distance(real, fake[order[j::k]]) for j in range(k)]) for k in (1, 2, 4)]
    assert actual["frechet-infinity"].value == pytest.approx(np.polyfit([1, 2, 4], means, 1)[1])
    assert np.isnan(value(frechet, real, fake[:7])["frechet-infinity"])


def test_kid_agrees_with_torchmetrics_and_torch_fidelity(features):
    real, fake = features[0][:110], features[1]
    actual = value(kid, real, fake)["kid"]
    mean, _ = oracle(KernelInceptionDistance(Identity(), subsets=1, subset_size=110), real, fake)
    assert actual == pytest.approx(mean.item(), rel=1e-6)
    tensors = torch.from_numpy(fake), torch.from_numpy(real)
    options = {"kid_subsets": 1, "kid_subset_size": 110, "verbose": False}
    reference = kid_features_to_metric(*tensors, **options)
    assert actual == pytest.approx(reference["kernel_inception_distance_mean"], rel=1e-6)


def test_kid_is_unbiased():
    rng = np.random.default_rng(0)
    draws = [value(kid, *rng.normal(size=(2, 20, 4)))["kid"] for _ in range(400)]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / 20


def test_kid_subsets_estimate_the_full_sets():
    rng = np.random.default_rng(0)
    pair = rng.normal(size=(150, 12)), rng.normal(size=(110, 12)) + 0.5
    single, subsets = (value(kid, *pair, subsets=400, subset_size=n)["kid"] for n in (1000, 60))
    assert subsets == pytest.approx(single, rel=0.05)
    assert subsets != single
    assert subsets == value(kid, *pair, subsets=400, subset_size=60)["kid"], "its draws are seeded"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.1, 10))
def test_invariances(seed, scale):
    rng = np.random.default_rng(seed)
    real, fake = rng.normal(size=(30, 5)), rng.normal(size=(25, 5)) + 0.5
    rotate = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    order = rng.permutation(30)
    original = distance(real, fake)
    assert distance(fake, real) == pytest.approx(original, rel=1e-8)
    assert distance(real[order], fake) == pytest.approx(original, rel=1e-8)
    transformed = distance(scale * real @ rotate, scale * fake @ rotate)
    assert transformed == pytest.approx(scale**2 * original, rel=1e-6)
    balls = value(pr, real, fake)
    assert value(pr, scale * real @ rotate, scale * fake @ rotate) == balls
    assert value(kid, fake, real)["kid"] == pytest.approx(value(kid, real, fake)["kid"])


def test_thirds_and_shots_follow_the_training_counts():
    counts = [5, 80, 20, 40, 10, 160, 3]
    actual = groups(counts, ("all", "thirds", "shots"), (100, 20))
    assert actual["head"] == [5, 1, 3]
    assert actual["medium"] == [2, 4]
    assert actual["tail"] == [0, 6]
    assert sorted(actual["all"]) == list(range(7))
    assert "class-0" not in actual
    assert actual["many-shot"] == [5]
    assert actual["medium-shot"] == [1, 3, 2]
    assert actual["few-shot"] == [4, 0, 6]
    assert "few-shot" not in groups([30, 40], ("shots",), (100, 20)), "an empty group is left out"
