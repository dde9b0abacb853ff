"""`ltdm.api`: the metrics of arrays equal those of other packages, and refuse what is none."""

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from pytorch_fid import fid_score
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from ltdm import api
from ltdm.metrics import frechet, prd
from ltdm.plumbing.errors import LtdmError
from tests.conftest import ROOT
from tests.helpers.scores import sample, value

RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(size=(150, 12)), RNG.normal(0.3, 1.2, (110, 12))


def test_the_frechet_distance_is_that_of_pytorch_fid():
    moments = [moment for x in (REAL, FAKE) for moment in (x.mean(0), np.cov(x, rowvar=False))]
    found = api.frechet_distance(REAL, FAKE)
    assert found.value == pytest.approx(fid_score.calculate_frechet_distance(*moments), rel=1e-6)
    assert found.error > 0


def test_the_kernel_distance_of_whole_sets_is_that_of_torch_fidelity():
    real, fake = torch.from_numpy(REAL[:110]), torch.from_numpy(FAKE)
    sizes = {"kid_subsets": 1, "kid_subset_size": 110, "verbose": False}
    expected = kid_features_to_metric(real, fake, **sizes)["kernel_inception_distance_mean"]
    found = api.kernel_distance(REAL[:110], FAKE, subsets=1, subset_size=110)
    assert found.value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("k", [2, 5])
def test_balls_of_neighbours_are_those_of_prdc(k):
    found = {
        name: estimate.value for name, estimate in api.precision_recall(REAL, FAKE, k=k).items()
    }
    assert found == pytest.approx(compute_prdc(REAL, FAKE, nearest_k=k), rel=1e-6)


def test_the_inception_score_is_that_of_torch_fidelity():
    """It shuffles its images where there are several splits, so there is one."""
    logits = RNG.normal(size=(60, 7))
    p = torch.from_numpy(logits).softmax(1).numpy()
    expected = isc_features_to_metric(torch.from_numpy(logits), 1, shuffle=False)
    found = api.inception_score(p, splits=1)
    assert found.value == pytest.approx(expected["inception_score_mean"], rel=1e-6)


def test_the_others_are_those_of_the_tables():
    sets = REAL, FAKE
    found = api.frechet_infinity(*sets).value
    assert found == pytest.approx(value(frechet, *sets)["frechet-infinity"])
    assert api.frechet_infinity(*sets, both=True).value != found
    assert np.isnan(api.frechet_infinity(REAL, FAKE[:7]).value)
    options = prd.Options(clusters=4, num_clusterings=2)
    expected = prd.score(sample(REAL), sample(FAKE), options)
    assert api.prd(*sets, clusters=4, num_clusterings=2) == expected


def test_precisions_may_be_mixed_and_large_numbers_are_refused():
    mixed = api.precision_recall(REAL.astype("f4"), FAKE)
    assert mixed["recall"].value == api.precision_recall(REAL, FAKE)["recall"].value
    assert api.kernel_distance(REAL.astype("f2"), FAKE.astype("f4"), subsets=np.int64(2)).value > 0
    for odd in (1e20 * REAL, [[1.0, 2.0], [1.0]], torch.ones(3, 12, requires_grad=True)):
        with pytest.raises(LtdmError):
            api.precision_recall(odd, FAKE)


def test_the_example_of_the_docs_runs(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs/scoring.md").read_text()
    monkeypatch.chdir(tmp_path)
    np.save("real.npy", REAL)
    np.save("fake.npy", FAKE)
    exec(page.partition("```python\n")[2].partition("```")[0], {})
    first = capsys.readouterr().out.split()[0]
    assert float(first) == api.frechet_distance(REAL, FAKE).value


def test_labels_change_the_error_alone():
    labels = (FAKE[:, 0] > 0).astype(int)
    by_class, plain = api.precision_recall(REAL, FAKE, labels), api.precision_recall(REAL, FAKE)
    assert by_class["precision"].value == plain["precision"].value
    assert by_class["precision"].error != plain["precision"].error


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: api.frechet_distance(REAL, FAKE[:, :5]), "real has 12 features and fake 5"),
        (lambda: api.frechet_distance(REAL[0], FAKE), r"real must be .* not float64 \(12,\)"),
        (lambda: api.frechet_distance(REAL, FAKE.astype(int)), "fake must be a floating-point"),
        (
            lambda: api.frechet_distance(REAL, np.full_like(FAKE, np.nan)),
            "fake must hold finite",
        ),
        (lambda: api.frechet_distance(REAL, FAKE[:1]), "a set has 1 images, and 2 are needed"),
        (lambda: api.frechet_distance(REAL, FAKE[:0]), "fake must be a floating-point"),
        (lambda: api.frechet_distance(REAL, FAKE, [0, 1]), "one whole number for each of 110"),
        (lambda: api.frechet_distance(REAL, FAKE, np.zeros(110)), "one whole number for each"),
        (lambda: api.precision_recall(REAL, FAKE, k=0), "k"),
        (lambda: api.precision_recall(REAL, FAKE, k=110), "images, and 111 are needed"),
        (lambda: api.kernel_distance(REAL, FAKE, subset_size=1), "subset_size"),
        (lambda: api.prd(REAL, FAKE, clusters=0), "clusters"),
        (lambda: api.inception_score(FAKE), "sum to 1"),
        (lambda: api.inception_score(np.eye(4), splits=0), "splits"),
    ],
)
def test_what_is_no_set_of_features_is_refused(call, message):
    with pytest.raises(LtdmError, match=message):
        call()
