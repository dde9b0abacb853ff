"""Statistics and features as references: `ltdm stats`, and `ltdm score` against them."""

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_fid import fid_score

from tests.unit.cli.test_cli import ltdm

RNG = np.random.default_rng(0)
REAL, FAKE = (RNG.integers(low, 256, (n, 3, 4, 4), "u1") for low, n in ((0, 90), (40, 80)))
PIXELS = [images.reshape(len(images), -1).astype("f4") / 255 for images in (REAL, FAKE)]
LABELS = np.arange(80) % 4
PRD = "{name: prd, clusters: 4, num_clusterings: 2}"


@pytest.fixture
def folder(tmp_path):
    np.savez(tmp_path / "real.npz", images=REAL)
    np.savez(tmp_path / "fake.npz", images=FAKE, labels=LABELS)
    np.save(tmp_path / "features.npy", PIXELS[0])
    mean, covariance = PIXELS[0].mean(0, "f8"), np.cov(PIXELS[0].astype("f8"), rowvar=False)
    np.savez_compressed(tmp_path / "stats.npz", mu=mean, sigma=covariance)
    return tmp_path


def score(folder, reference, *options, code=0):
    """Run `ltdm score`; return its rows by metric, or what it prints if it fails."""
    paths = ["--reference", folder / reference, "--cache-dir", folder / "work"]
    printed = ltdm("score", folder / "fake.npz", *paths, *options, code=code)
    if code:
        return printed
    rows = pd.read_csv(printed.partition("All rows: ")[2].strip())
    return rows[rows["group"] == "all"].set_index("metric").drop(columns="reference")


def test_stats_are_those_of_pytorch_fid(folder, monkeypatch):
    """Its own code, `pytorch-fid --save-stats`, gets the activations of `pixels`."""
    monkeypatch.setattr(fid_score, "InceptionV3", lambda blocks: torch.nn.Identity())
    monkeypatch.setattr(fid_score.InceptionV3, "BLOCK_INDEX_BY_DIM", {48: 0}, raising=False)
    monkeypatch.setattr(fid_score, "get_activations", lambda *_: PIXELS[0].astype("f8"))
    (folder / "images").mkdir()
    theirs, ours = folder / "theirs.npz", folder / "ours.npz"
    fid_score.save_fid_stats([str(folder / "images"), str(theirs)], 50, "cpu", 48)
    options = ["--extractor", "pixels", "--cache-dir", folder / "work"]
    assert "48 features of pixels" in ltdm("stats", folder / "real.npz", ours, *options)
    with np.load(theirs) as expected, np.load(ours) as actual:
        assert {*actual} == {*expected} == {"mu", "sigma"}
        for name in expected:
            np.testing.assert_allclose(actual[name], expected[name], rtol=0, atol=1e-10)


def test_the_distance_from_statistics_is_that_from_images_and_of_pytorch_fid(folder):
    options = ["--extractor", "pixels", "--metric", "frechet"]
    rows, expected = score(folder, "stats.npz", *options), score(folder, "real.npz", *options)
    for column in ("value", "error"):
        np.testing.assert_allclose(rows[column], expected[column], rtol=1e-9)
    assert [*rows.index] == ["frechet", "frechet-infinity"]
    assert rows["n_real"].isna().all() and (rows["n_generated"] == 80).all()
    with np.load(folder / "stats.npz") as stats:
        moments = PIXELS[1].mean(0, "f8"), np.cov(PIXELS[1].astype("f8"), rowvar=False)
        theirs = fid_score.calculate_frechet_distance(*moments, stats["mu"], stats["sigma"])
    assert rows["value"]["frechet"] == pytest.approx(theirs, rel=1e-6)
    np.savez(folder / "few.npz", images=REAL[:30])
    ltdm("stats", folder / "few.npz", folder / "few-stats.npz", *options[:2], "--cache-dir", folder)
    few = score(folder, "few-stats.npz", *options)["value"]["frechet"]
    assert few == pytest.approx(score(folder, "few.npz", *options)["value"]["frechet"], rel=1e-6)


def test_features_give_what_their_images_give(folder):
    metrics = ["frechet", "precision-recall", "{name: kid, subset_size: 40}", PRD]
    options = ["--extractor", "pixels", *(x for metric in metrics for x in ("--metric", metric))]
    rows, expected = score(folder, "features.npy", *options), score(folder, "real.npz", *options)
    assert [*rows.index] == [*expected.index]
    pd.testing.assert_frame_equal(rows, expected)
    assert {"recall", "frechet"} <= {*score(folder, "features.npy", *options[:2]).index}


@pytest.mark.parametrize(
    ("reference", "options", "message"),
    [
        ("stats.npz", ["--metric", "kid"], "kid cannot be computed from"),
        ("stats.npz", ["--metric", "memorization"], "memorization cannot be computed from"),
        (
            "stats.npz",
            ["--metric", "{name: frechet, extrapolate: both}"],
            "extrapolates over both sets",
        ),
        ("stats.npz", ["--reference-labels", "x.npy"], "leave the labels out"),
        ("stats.npz", ["--labels", "x.npy"], "leave the labels out"),
        ("stats.npz", ["--extractor", "classifier"], "learns the reference's classes"),
        (
            "features.npy",
            ["--extractor", "pixels", "--metric", "{name: kid, extractor: inception}"],
            "no 'inception'",
        ),
        ("features.npy", [], "was made with one extractor"),
        ("features.npy", ["--extractor", "random-vgg16", "--extractor", "pixels"], "one extractor"),
        ("features.npy", ["--extractor", "{name: classifier}"], "learns the reference's classes"),
    ],
)
def test_what_cannot_be_scored_is_refused(folder, reference, options, message):
    named = [] if "--extractor" in options or reference == "features.npy" else ["pixels"]
    options = [*(x for name in named for x in ("--extractor", name)), *options]
    assert message in score(folder, reference, *options, code=1)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mu": np.zeros(48)}, "has no array 'sigma'"),
        ({"mu": np.zeros(48), "sigma": np.eye(47)}, "must have the shapes (d,) and (d, d)"),
        ({"mu": np.zeros((48, 2)), "sigma": np.eye(48)}, "must have the shapes"),
        ({"mu": np.zeros(0), "sigma": np.zeros((0, 0))}, "must have the shapes"),
        ({"mu": np.zeros(48, int), "sigma": np.eye(48)}, "finite floating-point"),
        ({"mu": np.full(48, np.nan), "sigma": np.eye(48)}, "finite floating-point"),
        ({"mu": np.full(48, 1e200), "sigma": np.eye(48)}, "finite floating-point"),
        ({"mu": np.zeros(48), "sigma": np.eye(48) + 100 * np.eye(48)[::-1]}, "no covariance"),
        ({"mu": np.zeros(48), "sigma": np.triu(np.ones((48, 48)))}, "no covariance"),
        ({"mu": np.zeros(48), "sigma": -np.eye(48)}, "no covariance"),
        ({"mu": np.zeros(20), "sigma": np.eye(20)}, "is of 20 features, but pixels gives 48"),
    ],
)
def test_bad_statistics_are_refused_in_one_sentence(folder, arrays, message):
    np.savez(folder / "bad.npz", **arrays)
    assert message in score(folder, "bad.npz", "--extractor", "pixels", code=1)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((90, 20), "f4"), "is of 20 features, but pixels gives 48"),
        (np.zeros((90, 48), int), "finite floating-point"),
        (np.full((90, 48), np.inf), "finite floating-point"),
        (np.zeros((0, 48)), "holds no features"),
    ],
)
def test_bad_features_are_refused_in_one_sentence(folder, features, message):
    np.save(folder / "bad.npy", features)
    assert message in score(folder, "bad.npy", "--extractor", "pixels", code=1)


def test_stats_are_written_of_two_images_or_more_to_an_npz(folder):
    np.savez(folder / "one.npz", images=REAL[:1])
    options = ["--extractor", "pixels", "--cache-dir", folder / "work"]
    assert "a covariance needs two" in ltdm(
        "stats", folder / "one.npz", folder / "o.npz", *options, code=1
    )
    assert "must end in .npz" in ltdm("stats", folder / "real.npz", folder / "o", *options, code=1)
    assert not (folder / "o.npz").exists()


def test_stats_overwrite_no_reference_and_bad_statistics_cost_no_features(folder):
    (folder / "data").mkdir()
    reference = folder / "data/reference.npz"
    np.savez(reference, images=REAL, labels=np.arange(90) % 3, about="{}")
    (folder / "data/counts.csv").write_text("class,name,train\n0,a,30\n1,b,30\n2,c,30\n")
    before = reference.read_bytes()
    options = ["--extractor", "pixels", "--cache-dir", folder / "work"]
    assert "is the input itself" in ltdm("stats", folder / "data", reference, *options, code=1)
    assert reference.read_bytes() == before
    np.savez(folder / "bad.npz", mu=np.zeros(20), sigma=np.eye(20))
    score(folder, "bad.npz", "--extractor", "pixels", code=1)
    assert not [*folder.rglob("features/*.npz")]


def test_an_archive_with_the_ending_of_an_array_is_scored_by_what_it_holds(folder):
    options = ["--extractor", "pixels", "--metric", "frechet"]
    expected = score(folder, "stats.npz", *options)["value"]
    (folder / "stats.npz").rename(folder / "stats.npy")
    pd.testing.assert_series_equal(score(folder, "stats.npy", *options)["value"], expected)
