"""Standard errors in closed form against a bootstrap that resamples the generated images."""

import numpy as np
import pytest

from ltdm.metrics import accuracy, frechet, inception_score, kid, prd
from ltdm.metrics import precision_recall as pr
from ltdm.metrics._base import Sample

pytestmark = pytest.mark.slow

BOOTSTRAP_DRAWS = 400
ONE_CLUSTERING = prd.Options(num_clusterings=1, clusters=2)


def sets(n=300, m=240, d=6, seed=0):
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(d, d))
    real, fake = rng.normal(size=(n, d)) @ mix, 1.3 * rng.normal(size=(m, d)) @ mix + 0.4
    p = np.exp(2 * rng.normal(size=(m, 12)))
    labels = np.arange(m) % 3
    generated = Sample(fake, labels, p / p.sum(1, keepdims=True))
    return Sample(real, np.zeros(n, int)), generated


def bootstrap_errors(metric, options, real, fake):
    """Standard deviation of each value over resampled generated images, class by class."""
    rng = np.random.default_rng(1)
    values = []
    for _ in range(BOOTSTRAP_DRAWS):
        classes = zip(*np.unique(fake.labels, return_counts=True), strict=True)
        rows = [rng.choice(np.flatnonzero(fake.labels == c), n) for c, n in classes]
        rows = np.concatenate(rows)
        resampled = Sample(fake.features[rows], fake.labels[rows], fake.probabilities[rows])
        estimates = metric.score(real, resampled, options)
        values.append([estimate.value for estimate in estimates.values()])
    return dict(zip(estimates, np.std(values, axis=0, ddof=1), strict=True))


@pytest.mark.parametrize(
    ("metric", "options", "names"),
    [
        (frechet, {}, ["frechet"]),
        (kid, {}, ["kid"]),
        (inception_score, {"splits": 1}, ["inception-score"]),
        (inception_score, {"splits": 4}, ["inception-score"]),
        (accuracy, {}, ["accuracy"]),
        (pr, {}, ["precision", "density"]),
    ],
)
def test_the_bootstrap_agrees(metric, options, names):
    real, fake = sets()
    options = metric.Options(**options)
    expected = bootstrap_errors(metric, options, real, fake)
    estimates = metric.score(real, fake, options)
    for name in names:
        assert estimates[name].error == pytest.approx(expected[name], rel=0.15), name


@pytest.mark.parametrize(("n", "m"), [(300, 5), (5, 240), (5, 4), (7, 300)])
def test_influences_on_the_frechet_distance_are_its_derivatives(n, m):
    """Derivatives by the weight of a row; a larger weight counts as more images."""
    real, fake = sets(n, m)
    gaussians = [frechet.Gaussian(s.features) for s in (real, fake)]
    influences = frechet.influence(*gaussians, fake.features)

    def weighted_distance(row, step):
        """The distance by the formula, with the weight of one row raised."""
        weights = np.full(m, 1 / m)
        weights[row] += step
        weights /= weights.sum()
        mean = weights @ fake.features
        u = fake.features - mean
        covariance = (u.T * weights) @ u * m / (m - 1)
        product = np.linalg.eigvals(np.cov(real.features, rowvar=False) @ covariance)
        overlap = np.sqrt(product.real.clip(min=0)).sum()
        shift = mean - real.features.mean(0)
        return shift @ shift + np.trace(covariance) - 2 * overlap

    step = 0.02 / m
    slopes = np.array(
        [(weighted_distance(i, step) - weighted_distance(i, -step)) / (2 * step) for i in range(m)]
    )
    assert slopes == pytest.approx(
        influences - influences.mean(), rel=0.01, abs=0.01 * influences.std()
    )


@pytest.mark.parametrize("extrapolate", ["generated", "both"])
@pytest.mark.parametrize(("shift", "ratio"), [(0.0, 2**0.5), (0.5, 1.0)])
def test_the_error_of_frechet_infinity_by_new_draws(shift, ratio, extrapolate):
    """It is accurate far from 0, and too large by sqrt(2) where the true distance is 0."""
    rng, options = np.random.default_rng(0), frechet.Options(extrapolate=extrapolate)
    real, labels = rng.normal(size=(3000, 6)), np.arange(160) % 3
    real_sample = Sample(real, np.zeros(3000, int))
    draws = [
        frechet.score(real_sample, Sample(rng.normal(shift, 1, (160, 6)), labels), options)
        for _ in range(150)
    ]
    values, errors = np.array([draw["frechet-infinity"][:2] for draw in draws]).T
    assert np.median(errors) == pytest.approx(ratio * values.std(ddof=1), rel=0.25)
    covered = np.abs(values - values.mean()) < 1.96 * errors
    assert 0.9 <= covered.mean() <= 1
    assert (values > 1.96 * errors).mean() == (1 if shift else pytest.approx(0, abs=0.03))


@pytest.mark.parametrize("sampled", [80, 60, 40])
def test_the_error_of_frechet_infinity_from_a_sample_of_images(monkeypatch, sampled):
    """Every second, fourth or sixth image leaves out some parts, which are exchangeable."""
    real, fake = sets(n=2000)
    expected = frechet.score(real, fake, frechet.Options())["frechet-infinity"]
    monkeypatch.setattr(frechet, "ERROR_SAMPLE", sampled)
    value, error, _ = frechet.score(real, fake, frechet.Options())["frechet-infinity"]
    assert value == expected.value
    assert error == pytest.approx(expected.error, rel=0.35)


def test_coverage_by_leaving_each_image_out():
    real, fake = sets(120, 40)
    fake = fake._replace(labels=np.zeros(40, int))
    n = len(fake.labels)
    score = pr.score(real, fake, pr.Options())["coverage"]
    values = []
    for i in range(n):
        others = Sample(np.delete(fake.features, i, axis=0), np.zeros(n - 1, int))
        values.append(pr.score(real, others, pr.Options())["coverage"].value)
    assert score.error == pytest.approx(np.sqrt((n - 1) * np.var(values)))
    assert np.isnan(pr.score(real, fake, pr.Options())["recall"].error), "no error is valid"


def test_the_error_of_prd_is_over_images(monkeypatch):
    """The clusters are held fixed."""
    real, fake = sets(240)
    monkeypatch.setattr(prd, "_cluster", lambda points, *_: (points[:, 0] > points[:, 1]) + 0)
    expected = bootstrap_errors(prd, ONE_CLUSTERING, real, fake)
    estimates = prd.score(real, fake, ONE_CLUSTERING)
    for name, estimate in estimates.items():
        assert estimate.error == pytest.approx(expected[name], rel=0.3), name


@pytest.mark.parametrize(("subsets", "size"), [(2, 500), (5, 500)])
def test_few_subsets_of_kid_have_a_larger_error(subsets, size):
    real, fake = sets(2000, 2000)
    options = kid.Options(subsets=subsets, subset_size=size)
    expected = bootstrap_errors(kid, options, real, fake)["kid"]
    estimates = kid.score(real, fake, options)
    assert estimates["kid"].error == pytest.approx(expected, rel=0.25)


def test_differences_between_classes_add_no_error():
    p = np.eye(2)[np.arange(100) % 2]
    labels = np.where(np.arange(100) % 2, 1, 0)
    always = Sample(np.zeros((100, 1)), labels, p)
    never = always._replace(probabilities=p[::-1])
    labels, p = np.repeat([0, 1, 2, 3], 50), np.repeat(np.eye(4)[[0, 1, 3, 2]], 50, axis=0)
    both = Sample(np.zeros((200, 1)), labels, p)
    for fake, value in ((always, 1.0), (never, 0.0), (both, 0.5)):
        assert accuracy.score(fake, fake, accuracy.Options())["accuracy"][:2] == (value, 0.0)
    one_per_class = fake.of_classes([0])._replace(labels=np.arange(50))
    assert np.isnan(accuracy.score(fake, one_per_class, accuracy.Options())["accuracy"].error)
