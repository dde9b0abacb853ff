"""Standard errors in closed form against a bootstrap that draws the generated images anew."""

import numpy as np
import pytest

from ltdm.metrics import accuracy, frechet, inception_score, kid, prd
from ltdm.metrics import precision_recall as pr
from ltdm.metrics._base import Sample

pytestmark = pytest.mark.slow

DRAWS = 400
ONE = prd.Options(num_clusterings=1, clusters=2)


def sets(n=300, m=240, d=6, seed=0):
    stream = np.random.default_rng(seed)
    mix = stream.normal(size=(d, d))
    real, fake = stream.normal(size=(n, d)) @ mix, 1.3 * stream.normal(size=(m, d)) @ mix + 0.4
    p = np.exp(2 * stream.normal(size=(m, 12)))
    labels = np.arange(m) % 3
    return (Sample(real, np.zeros(n, int)),
            Sample(fake, labels, p / p.sum(1, keepdims=True)))  # fmt: skip


def drawn_anew(metric, options, real, fake):
    """Standard deviation of each value over draws of the generated images, class by class."""
    stream = np.random.default_rng(1)
    values = []
    for _ in range(DRAWS):
        classes = zip(*np.unique(fake.labels, return_counts=True), strict=True)
        rows = [stream.choice(np.flatnonzero(fake.labels == c), n) for c, n in classes]
        rows = np.concatenate(rows)
        again = Sample(fake.features[rows], fake.labels[rows], fake.probabilities[rows])
        found = metric.score(real, again, options)
        values.append([one.value for one in found.values()])
    return dict(zip(found, np.std(values, axis=0, ddof=1), strict=True))


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
    expected, found = drawn_anew(metric, options, real, fake), metric.score(real, fake, options)
    for name in names:
        assert found[name].error == pytest.approx(expected[name], rel=0.15), name


@pytest.mark.parametrize(("n", "m"), [(300, 5), (5, 240), (5, 4), (7, 300)])
def test_effects_on_the_frechet_distance_are_its_derivatives(n, m):
    """By the weight of a row; images with more weight count as more images."""
    real, fake = sets(n, m)
    gaussians = [frechet.Gaussian(s.features) for s in (real, fake)]
    influences = frechet.influence(*gaussians, fake.features)

    def weighted(row, by):
        """The distance with one row's share raised, by the formula."""
        share = np.full(m, 1 / m)
        share[row] += by
        share /= share.sum()
        mean = share @ fake.features
        u = fake.features - mean
        covariance = (u.T * share) @ u * m / (m - 1)
        product = np.linalg.eigvals(np.cov(real.features, rowvar=False) @ covariance)
        overlap = np.sqrt(product.real.clip(min=0)).sum()
        shift = mean - real.features.mean(0)
        return shift @ shift + np.trace(covariance) - 2 * overlap

    by = 0.02 / m
    slopes = np.array([(weighted(i, by) - weighted(i, -by)) / (2 * by) for i in range(m)])
    assert slopes == pytest.approx(
        influences - influences.mean(), rel=0.01, abs=0.01 * influences.std()
    )


def test_coverage_by_leaving_each_image_out():
    real, fake = sets(120, 40)
    fake = fake._replace(labels=np.zeros(40, int))
    n = len(fake.labels)
    score = pr.score(real, fake, pr.Options())["coverage"]
    left = []
    for i in range(n):
        rest = Sample(np.delete(fake.features, i, axis=0), np.zeros(n - 1, int))
        left.append(pr.score(real, rest, pr.Options())["coverage"].value)
    assert score.error == pytest.approx(np.sqrt((n - 1) * np.var(left)))
    assert np.isnan(frechet.score(real, fake, frechet.Options())["frechet-infinity"].error)
    assert np.isnan(pr.score(real, fake, pr.Options())["recall"].error), "none is valid"


def test_prd_draws_images(monkeypatch):
    """With the clusters held fixed, as if they were the data."""
    real, fake = sets(240)
    monkeypatch.setattr(prd, "_cluster", lambda points, *_: (points[:, 0] > points[:, 1]) + 0)
    expected, found = drawn_anew(prd, ONE, real, fake), prd.score(real, fake, ONE)
    for name, one in found.items():
        assert one.error == pytest.approx(expected[name], rel=0.3), name


@pytest.mark.parametrize(("subsets", "size"), [(2, 500), (5, 500)])
def test_few_subsets_of_kid_tell_less_than_all_images(subsets, size):
    real, fake = sets(2000, 2000)
    options = kid.Options(subsets=subsets, subset_size=size)
    expected, found = drawn_anew(kid, options, real, fake)["kid"], kid.score(real, fake, options)
    assert found["kid"].error == pytest.approx(expected, rel=0.25)


def test_classes_that_differ_add_no_error_where_their_numbers_are_fixed():
    p = np.eye(2)[np.arange(100) % 2]
    labels = np.where(np.arange(100) % 2, 1, 0)
    always = Sample(np.zeros((100, 1)), labels, p)
    never = always._replace(probabilities=p[::-1])
    both = Sample(np.zeros((200, 1)), np.repeat([0, 1, 2, 3], 50),
                  np.repeat(np.eye(4)[[0, 1, 3, 2]], 50, axis=0))  # fmt: skip
    for made, value in ((always, 1.0), (never, 0.0), (both, 0.5)):
        assert accuracy.score(made, made, accuracy.Options())["accuracy"][:2] == (value, 0.0)
    assert np.isnan(accuracy.score(made, made.of_classes([0])._replace(labels=np.arange(50)),
                                   accuracy.Options())["accuracy"].error)  # fmt: skip
