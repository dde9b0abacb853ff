"""Metrics against other implementations, closed forms and known answers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prdc import compute_prdc
from pytorch_fid import fid_score
from scipy import linalg
from scipy.spatial.distance import cdist
from torch import nn
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from ltdm.bench_scores import features_like
from ltdm.metrics import _neighbours, accuracy, frechet, inception_score, kid, prd
from ltdm.metrics import precision_recall as pr
from ltdm.metrics._base import Sample
from ltdm.metrics._groups import groups


class Identity(nn.Module):
    """Features that are their own images, for the oracles."""

    num_features = 12

    def forward(self, x):
        return x


def sample(x, labels=None, probabilities=None):
    labels = np.zeros(len(x), np.int64) if labels is None else labels
    return Sample(x, labels, probabilities)


def value(metric, real, fake, **options):
    """The values alone, of bare features."""
    found = metric.score(sample(real), sample(fake), metric.Options(**options))
    return {name: one.value for name, one in found.items()}


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
    """Its own function; newer SciPy has no `disp`, which it wants to hear the error by."""
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
        assert value(pr, same, same) == {
            "precision": 1, "recall": 1, "density": pytest.approx(1, abs=0.4), "coverage": 1,
        }  # fmt: skip
    if n > 20:
        assert value(prd, same, same, runs=2) == {
            "prd-f8": pytest.approx(1, abs=1e-6), "prd-f1/8": pytest.approx(1, abs=1e-6),
        }  # fmt: skip


def test_both_forms_of_frechet_agree_where_either_would_do(features):
    """Padding features with constants makes the covariance singular and changes no distance."""
    padded = [np.pad(x, ((0, 0), (0, 300))) for x in features]
    found, expected = (value(frechet, *sets) for sets in (padded, features))
    assert found == pytest.approx(expected, rel=1e-6)


def test_frechet_infinity_takes_the_bias_away():
    """Of two sets of one law, where the truth is zero; the rest of the error is noise."""
    stream = np.random.default_rng(0)
    real = stream.normal(size=(20000, 8))
    for extrapolate, n_real in (("generated", 20000), ("both", 400)):
        found = [value(frechet, real[:n_real] if extrapolate == "generated" else
                       stream.normal(size=(n_real, 8)), stream.normal(size=(400, 8)),
                       extrapolate=extrapolate) for _ in range(40)]  # fmt: skip
        plain, limit = (np.mean([f[name] for f in found]) for name in found[0])
        assert plain > 0.05
        assert abs(limit) < 0.1 * plain, extrapolate


def test_frechet_infinity_is_the_line_through_whole_halves_and_quarters(features):
    """By hand, with labels that the parts must share out alike."""
    real, fake = features[0], features[1][:80]
    labels = np.repeat([0, 1], 40)
    found = frechet.score(sample(real), sample(fake, labels), frechet.Options())
    order = frechet._spread(labels)
    assert all(labels[order[j::4]].mean() == 0.5 for j in range(4))
    means = [np.mean([distance(real, fake[order[j::k]]) for j in range(k)]) for k in (1, 2, 4)]
    assert found["frechet-infinity"].value == pytest.approx(np.polyfit([1, 2, 4], means, 1)[1])
    assert np.isnan(value(frechet, real, fake[:7])["frechet-infinity"])


def test_kid_agrees_with_torchmetrics_and_torch_fidelity(features):
    real, fake = features[0][:110], features[1]
    found = value(kid, real, fake)["kid"]
    mean, _ = oracle(KernelInceptionDistance(Identity(), subsets=1, subset_size=110), real, fake)
    assert found == pytest.approx(mean.item(), rel=1e-6)
    theirs = kid_features_to_metric(torch.from_numpy(fake), torch.from_numpy(real), kid_subsets=1,
                                    kid_subset_size=110, verbose=False)  # fmt: skip
    assert found == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)


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


@pytest.mark.parametrize("k", [1, 3, 5])
def test_neighbours_agree_with_prdc_and_torch_fidelity(features, k):
    found = value(pr, *(x.astype(np.float32) for x in features), k=k)
    assert found == pytest.approx(compute_prdc(*features, nearest_k=k), rel=1e-6)
    theirs = prc_features_to_metric(*(torch.from_numpy(x) for x in features[::-1]), verbose=False,
                                    prc_neighborhood=k, prc_batch_size=64)  # fmt: skip
    assert {name: found[name] for name in ("precision", "recall")} == pytest.approx(
        {name: theirs[name] for name in ("precision", "recall")}, rel=1e-6
    )
    assert all(0 < x < 1 for name, x in found.items() if name != "density"), "it tells something"


def test_neighbours_of_long_features_in_float32_agree_with_prdc():
    """As Inception's are: 2,048 numbers, never negative, far from the origin."""
    real, fake = (features_like(400, 2048, seed) * scale for seed, scale in ((0, 1.0), (1, 1.02)))
    expected = compute_prdc(real.astype(np.float64), fake.astype(np.float64), nearest_k=3)
    assert value(pr, real, fake) == pytest.approx(expected, abs=1e-9)
    assert all(0 < x < 1 for name, x in expected.items() if name != "density")


def test_blocks_of_neighbours_do_not_matter(features, monkeypatch):
    whole = value(pr, *(x.astype(np.float32) for x in features))
    monkeypatch.setattr(_neighbours, "BLOCK", 7)
    assert value(pr, *(x.astype(np.float32) for x in features)) == whole


def test_a_full_gpu_leaves_the_neighbours_to_the_cpu(features, monkeypatch):
    pair, found = [x.astype(np.float32) for x in features], _neighbours._membership

    def full(real, fake, k, device):
        if device.type == "cuda":
            raise torch.OutOfMemoryError
        return found(real, fake, k, device)

    expected = _neighbours.membership(*pair, 3)
    monkeypatch.setattr(_neighbours, "pick", lambda: torch.device("cuda"))
    monkeypatch.setattr(_neighbours, "_membership", full)
    for one, other in zip(_neighbours.membership(*pair, 3), expected, strict=True):
        assert (one == other).all()


def test_neighbours_far_from_the_origin_keep_their_order():
    """Without the common mean taken away, float32 would lose the distances in the norms."""
    stream = np.random.default_rng(0)
    real, fake = (stream.normal(size=(60, 8)) + 1000 for _ in range(2))
    inside = cdist(fake, real) < np.sort(cdist(real, real), axis=1)[:, 3]
    found = _neighbours.membership(real.astype("f4"), fake.astype("f4"), 3)
    assert np.abs(found.holders - inside.sum(1)).sum() <= 1, "a tie within float32"


def test_a_dropped_mode_a_bad_mode_and_copies():
    stream = np.random.default_rng(0)
    left, right = stream.normal(size=(200, 3)), stream.normal(size=(200, 3)) + 50
    both = np.concatenate([left, right])
    dropped = value(pr, both, left + 1e-3)
    assert dropped["precision"] > 0.95
    assert dropped["recall"] < 0.6
    assert dropped["coverage"] == pytest.approx(0.5, abs=0.02)
    curves = value(prd, both, left + 1e-3, clusters=20, runs=3)
    assert curves["prd-f1/8"] > 0.95 > 0.6 > curves["prd-f8"]
    swapped = value(prd, left + 1e-3, both, clusters=20, runs=3)
    assert swapped["prd-f8"] == pytest.approx(curves["prd-f1/8"], rel=0.02)
    assert set(value(pr, left, right).values()) == {0.0}
    assert max(value(prd, left, right, runs=2).values()) < 1e-6
    same = value(pr, left, np.repeat(left[:20], 10, axis=0))
    assert same["precision"] == 1, "copies are inside"
    assert same["recall"] <= 0.1, "and cover nothing but themselves"
    assert same["coverage"] < 0.5


def test_prd_of_histograms_by_the_formula():
    """Slope by slope, in plain Python."""
    p, q = np.array([0.5, 0.5, 0.0, 0.0]), np.array([0.25, 0.25, 0.25, 0.25])
    best = {"prd-f8": 0.0, "prd-f1/8": 0.0}
    for slope in prd.SLOPES:
        precision = sum(min(slope * a, b) for a, b in zip(p, q, strict=True))
        recall = precision / slope
        for name, b2 in (("prd-f8", 64), ("prd-f1/8", 1 / 64)):
            f = (1 + b2) * precision * recall / (b2 * precision + recall)
            best[name] = max(best[name], f)
    found = dict(zip(best, prd.f_scores([p], [q]), strict=True))
    assert found == pytest.approx(best, rel=1e-8)
    assert found["prd-f8"] > 0.9 > found["prd-f1/8"], "all real clusters are met, half are strange"


def test_prd_cuts_unequal_sets_and_repeats_itself(features):
    real, fake = features
    first = value(prd, real, fake, clusters=5, runs=3)
    assert first == value(prd, real, fake, clusters=5, runs=3)
    assert 0 < first["prd-f8"] < 1


def probabilities(n=300, classes=20):
    logits = np.random.default_rng(0).normal(size=(n, classes)) * 3
    return torch.from_numpy(logits).softmax(1).numpy()


@pytest.mark.parametrize(("n", "splits"), [(300, 10), (303, 7), (300, 1)])
def test_inception_score_agrees_with_torch_fidelity(n, splits):
    p = probabilities(n)
    nothing = np.zeros((n, 1))
    found = inception_score.score(sample(nothing), sample(nothing, probabilities=p),
                                  inception_score.Options(splits=splits))  # fmt: skip
    theirs = isc_features_to_metric(torch.from_numpy(np.log(p)), splits=splits)
    assert [one.value for one in found.values()] == pytest.approx(list(theirs.values()), rel=1e-6)


def test_inception_score_of_certain_predictions_is_the_number_of_classes():
    p = np.eye(8)[np.arange(800) % 8]
    nothing = np.zeros((800, 1))
    found = inception_score.score(sample(nothing), sample(nothing, probabilities=p),
                                  inception_score.Options(splits=1))  # fmt: skip
    assert found["inception-score"].value == pytest.approx(8)
    assert found["inception-score"].error == pytest.approx(0, abs=1e-12)


def test_accuracy_counts():
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], np.float32)
    made = sample(np.zeros((4, 1)), np.array([0, 1, 1, 1]), p)
    assert accuracy.score(made, made, accuracy.Options())["accuracy"].value == 0.75


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.1, 10))
def test_invariances(seed, scale):
    stream = np.random.default_rng(seed)
    real, fake = stream.normal(size=(30, 5)), stream.normal(size=(25, 5)) + 0.5
    rotate = np.linalg.qr(stream.normal(size=(5, 5)))[0]
    order = stream.permutation(30)
    base = distance(real, fake)
    assert distance(fake, real) == pytest.approx(base, rel=1e-8)
    assert distance(real[order], fake) == pytest.approx(base, rel=1e-8)
    moved = distance(scale * real @ rotate, scale * fake @ rotate)
    assert moved == pytest.approx(scale**2 * base, rel=1e-6)
    balls = value(pr, real, fake)
    assert value(pr, scale * real @ rotate, scale * fake @ rotate) == balls
    assert value(kid, fake, real)["kid"] == pytest.approx(value(kid, real, fake)["kid"])


def test_thirds_and_shots_follow_the_training_counts():
    counts = [5, 80, 20, 40, 10, 160, 3]
    found = groups(counts, ("all", "thirds", "shots"), (100, 20))
    assert found["head"] == [5, 1, 3]
    assert found["medium"] == [2, 4]
    assert found["tail"] == [0, 6]
    assert sorted(found["all"]) == list(range(7))
    assert "class-0" not in found
    assert found["many-shot"] == [5]
    assert found["medium-shot"] == [1, 3, 2]
    assert found["few-shot"] == [4, 0, 6]
    assert "few-shot" not in groups([30, 40], ("shots",), (100, 20)), "an empty group is left out"
