"""Precision, recall, density, coverage, PRD, Inception Score and accuracy."""

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from scipy.spatial.distance import cdist
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from ltdm.metrics import _knn_balls, accuracy, inception_score, prd
from ltdm.metrics import precision_recall as pr
from ltdm.tools.bench_scores import synthetic_features
from tests.helpers.scores import sample, value


@pytest.mark.parametrize("k", [1, 3, 5])
def test_neighbours_agree_with_prdc_and_torch_fidelity(features, k):
    actual = value(pr, *(x.astype(np.float32) for x in features), k=k)
    assert actual == pytest.approx(compute_prdc(*features, nearest_k=k), rel=1e-6)
    tensors = (torch.from_numpy(x) for x in features[::-1])
    options = {"prc_neighborhood": k, "prc_batch_size": 64, "verbose": False}
    expected = prc_features_to_metric(*tensors, **options)
    for name in ("precision", "recall"):
        assert actual[name] == pytest.approx(expected[name], rel=1e-6)
    assert all(0 < x < 1 for name, x in actual.items() if name != "density"), "no value is trivial"


def test_neighbours_of_long_features_in_float32_agree_with_prdc():
    """Inception's have length 2,048, are never negative, and are far from the origin."""
    real, fake = (
        synthetic_features(400, 2048, seed) * scale for seed, scale in ((0, 1.0), (1, 1.02))
    )
    expected = compute_prdc(real.astype(np.float64), fake.astype(np.float64), nearest_k=3)
    assert value(pr, real, fake) == pytest.approx(expected, abs=1e-9)
    assert all(0 < x < 1 for name, x in expected.items() if name != "density")


def test_the_block_size_of_neighbours_changes_nothing(features, monkeypatch):
    one_block = value(pr, *(x.astype(np.float32) for x in features))
    monkeypatch.setattr(_knn_balls, "BLOCK_ROWS", 7)
    assert value(pr, *(x.astype(np.float32) for x in features)) == one_block


def test_neighbours_run_on_the_cpu_if_the_gpu_has_no_memory(features, monkeypatch):
    pair, count_on = [x.astype(np.float32) for x in features], _knn_balls._count_on

    def fail_on_cuda(real, fake, k, device):
        if device.type == "cuda":
            raise torch.OutOfMemoryError
        return count_on(real, fake, k, device)

    expected = _knn_balls.count_members(*pair, 3)
    monkeypatch.setattr(_knn_balls, "pick_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(_knn_balls, "_count_on", fail_on_cuda)
    for array, other in zip(_knn_balls.count_members(*pair, 3), expected, strict=True):
        assert (array == other).all()


def test_neighbours_far_from_the_origin_keep_their_order():
    """Without subtracting the mean, the distances are lost in float32 rounding of the norms."""
    rng = np.random.default_rng(0)
    real, fake = (rng.normal(size=(60, 8)) + 1000 for _ in range(2))
    inside = cdist(fake, real) < np.sort(cdist(real, real), axis=1)[:, 3]
    actual = _knn_balls.count_members(real.astype("f4"), fake.astype("f4"), 3)
    assert np.abs(actual.real_balls - inside.sum(1)).sum() <= 1, "a tie within float32"


def test_a_dropped_mode_a_bad_mode_and_copies():
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(200, 3)), rng.normal(size=(200, 3)) + 50
    both = np.concatenate([left, right])
    dropped = value(pr, both, left + 1e-3)
    assert dropped["precision"] > 0.95
    assert dropped["recall"] < 0.6
    assert dropped["coverage"] == pytest.approx(0.5, abs=0.02)
    curves = value(prd, both, left + 1e-3, clusters=20, num_clusterings=3)
    assert curves["prd-f1/8"] > 0.95 > 0.6 > curves["prd-f8"]
    swapped = value(prd, left + 1e-3, both, clusters=20, num_clusterings=3)
    assert swapped["prd-f8"] == pytest.approx(curves["prd-f1/8"], rel=0.02)
    assert set(value(pr, left, right).values()) == {0.0}
    assert max(value(prd, left, right, num_clusterings=2).values()) < 1e-6
    same = value(pr, left, np.repeat(left[:20], 10, axis=0))
    assert same["precision"] == 1, "copies are inside"
    assert same["recall"] <= 0.1, "and cover only themselves"
    assert same["coverage"] < 0.5


def test_prd_of_histograms_by_the_formula():
    """Compare with a loop over slopes in plain Python."""
    p, q = np.array([0.5, 0.5, 0.0, 0.0]), np.array([0.25, 0.25, 0.25, 0.25])
    best = {"prd-f8": 0.0, "prd-f1/8": 0.0}
    for slope in prd.SLOPES:
        precision = sum(min(slope * a, b) for a, b in zip(p, q, strict=True))
        recall = precision / slope
        for name, b2 in (("prd-f8", 64), ("prd-f1/8", 1 / 64)):
            f = (1 + b2) * precision * recall / (b2 * precision + recall)
            best[name] = max(best[name], f)
    actual = dict(zip(best, prd.f_scores([p], [q]), strict=True))
    assert actual == pytest.approx(best, rel=1e-8)
    assert actual["prd-f8"] > 0.9 > actual["prd-f1/8"], (
        "all real clusters are covered, half of the generated ones are not real"
    )


def test_prd_subsamples_unequal_sets_and_is_deterministic(features):
    real, fake = features
    first = value(prd, real, fake, clusters=5, num_clusterings=3)
    assert first == value(prd, real, fake, clusters=5, num_clusterings=3)
    assert 0 < first["prd-f8"] < 1


def probabilities(n=300, classes=20):
    logits = np.random.default_rng(0).normal(size=(n, classes)) * 3
    return torch.from_numpy(logits).softmax(1).numpy()


@pytest.mark.parametrize(("n", "splits"), [(300, 10), (303, 7), (300, 1)])
def test_inception_score_agrees_with_torch_fidelity(n, splits):
    p = probabilities(n)
    no_features = np.zeros((n, 1))
    real, fake = sample(no_features), sample(no_features, probabilities=p)
    actual = inception_score.score(real, fake, inception_score.Options(splits=splits))
    expected = isc_features_to_metric(torch.from_numpy(np.log(p)), splits=splits)
    assert [estimate.value for estimate in actual.values()] == pytest.approx(
        list(expected.values()), rel=1e-6
    )


def test_inception_score_of_certain_predictions_is_the_number_of_classes():
    p = np.eye(8)[np.arange(800) % 8]
    no_features = np.zeros((800, 1))
    real, fake = sample(no_features), sample(no_features, probabilities=p)
    actual = inception_score.score(real, fake, inception_score.Options(splits=1))
    assert actual["inception-score"].value == pytest.approx(8)
    assert actual["inception-score"].error == pytest.approx(0, abs=1e-12)


def test_accuracy_counts():
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], np.float32)
    fake = sample(np.zeros((4, 1)), np.array([0, 1, 1, 1]), p)
    assert accuracy.score(fake, fake, accuracy.Options())["accuracy"].value == 0.75
