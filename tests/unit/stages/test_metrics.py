"""Features to tidy rows: groups, notes, and rejected inputs."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, write_npz
from ltdm.stages import metrics


def rows(tmp_path, metric, real, fake, half=None, **options):
    counts, table = tmp_path / "counts.csv", tmp_path / "rows.csv"
    counts.write_text("\n".join(map(str, ["train", *range(100, 0, -10)])))
    kinds = {"kinds": ["all", "class", "thirds", "worst"]} | ({"half": half} if half else {})
    request = {"metric": {"name": metric, **options}, "groups": kinds, "extractors": ["pixels"]}
    request |= {"code": "this", "where": {"run": "x"}}
    files = {"counts": counts, "real": [real], "fake": [fake]}
    metrics.run(request, **files, table=table, record=table.with_suffix(".json"))
    return pd.read_csv(table, keep_default_na=False).set_index(["metric", "group"])


def feature_file(path, per_class, d=4, seed=0, extractor=None, labels=None):
    stream = np.random.default_rng(seed)
    labels = np.repeat(np.arange(10), per_class) if labels is None else labels
    features = stream.normal(size=(len(labels), d)).astype("f4")
    about = {"sampler": "ddim", "guidance": 0.5, "weights": "ema", "extractor": extractor}
    about, p = json.dumps(about), softmax(stream.normal(size=(len(labels), 10)), axis=1)
    write_npz(path, features=features, probabilities=p, labels=labels, about=np.array(about))
    return path


def test_metric_rows(tmp_path):
    real = feature_file(tmp_path / "real.npz", 60)
    fake = feature_file(tmp_path / "fake.npz", [*[50] * 9, 3], seed=1)
    table = rows(tmp_path, "frechet", real, fake)
    assert len(table) == 2 * (1 + 3 + 10 + 1)
    assert table.loc[("frechet", "all"), ["n_real", "n_generated"]].tolist() == [600, 453]
    assert table.loc[("frechet", "head"), "n_real"] == 240
    assert table.loc[("frechet", "class-9"), "note"] == "few images"
    assert table.loc[("frechet", "class-0"), "note"] == ""
    classes = table.loc["frechet"]["value"].filter(like="class-")
    worst = table.loc[("frechet", "worst")]
    assert worst["value"] == classes.max()
    assert worst["note"].split(",")[0] == classes.idxmax()
    table = rows(tmp_path, "precision-recall", real, fake)
    row = table.loc[("precision", "class-9")]
    assert row["value"] == "", "three images have no third neighbour"
    assert row["note"] == "too few images"
    assert float(table.loc[("recall", "worst"), "value"]) <= 1


def test_a_half_of_the_reference_is_scored_and_noted(tmp_path):
    real = feature_file(tmp_path / "real.npz", [*[61] * 9, 3])
    fake = feature_file(tmp_path / "fake.npz", 50, seed=1)
    halves = [rows(tmp_path, "frechet", real, fake, half) for half in ("reporting", "tuning")]
    expected = (("reporting half", 281, "few"), ("tuning half", 271, "too few"))
    for table, (note, size, few) in zip(halves, expected, strict=True):
        notes = table.loc["frechet"]["note"]
        assert (notes["all"], table.loc[("frechet", "all"), "n_real"]) == (note, size)
        assert notes["class-9"] == f"{few} images, {note}"
        assert notes["worst"].endswith(note)
    assert halves[0].loc[("frechet", "all"), "value"] != halves[1].loc[("frechet", "all"), "value"]
    alone = feature_file(tmp_path / "alone.npz", [*[9] * 9, 1])
    with pytest.raises(LtdmError, match="class 9 has one real image"):
        rows(tmp_path, "frechet", alone, fake, "tuning")


@pytest.mark.parametrize("metric", ["frechet", "kid"])
def test_unbiased_distances_that_may_be_zero_are_noted_and_not_clipped(tmp_path, metric):
    real = feature_file(tmp_path / "real.npz", 60)
    unbiased = "frechet-infinity" if metric == "frechet" else metric
    same, few = rows(tmp_path, metric, real, real), "few images, not above 0"
    values = pd.to_numeric(same.loc[unbiased]["value"])
    assert (values < 0).all()
    notes = same.loc[unbiased]["note"]
    assert notes["all"] == "not above 0"
    assert notes["worst"] == f"{values.filter(like='class-').idxmax()}, not above 0"
    scarce = feature_file(tmp_path / "scarce.npz", 20)
    notes = rows(tmp_path, metric, scarce, scarce).loc[unbiased]["note"]
    assert notes["class-0"] == (few if metric == "frechet" else "not above 0")
    shifted = dict(np.load(real))
    write_npz(tmp_path / "far.npz", **shifted | {"features": shifted["features"] + 1})
    far = rows(tmp_path, metric, real, tmp_path / "far.npz")
    for table in (same.drop(index=unbiased, level="metric"), far):
        assert not table["note"].str.contains("not above 0").any()
    assert (pd.to_numeric(far["error"].drop("worst", level="group")) > 0).all(), "each has an error"


def test_rows_of_two_parts_of_one_metric_and_of_probabilities(tmp_path):
    real, fake = feature_file(tmp_path / "a.npz", 9), feature_file(tmp_path / "b.npz", 8, seed=1)
    table = rows(tmp_path, "precision-recall", real, fake, k=5, label="pr5")
    names = ("precision", "recall", "density", "coverage")
    assert set(table.index.get_level_values(0)) == {f"pr5.{name}" for name in names}
    assert table.loc[("pr5.recall", "all"), "options"] == "k=5"
    table = rows(tmp_path, "accuracy", real, fake)
    p, labels = read_npz(fake, "probabilities", "labels")
    right = p.argmax(axis=1) == labels
    assert float(table.loc[("accuracy", "all"), "value"]) == pytest.approx(right.mean())
    within = right - right.reshape(10, 8).mean(axis=1).repeat(8)
    assert float(table.loc[("accuracy", "all"), "error"]) == pytest.approx(
        ((within**2).sum() / 70 / 80) ** 0.5
    )


def test_images_without_labels_have_only_the_group_all(tmp_path):
    real = feature_file(tmp_path / "a.npz", 9)
    fake = feature_file(tmp_path / "b.npz", 0, labels=np.full(50, -1))
    table = rows(tmp_path, "frechet", real, fake)
    assert set(table.index.get_level_values("group")) == {"all"}
    assert table["n_real"].tolist() == [90, 90]


def test_rejected_features(tmp_path):
    real = feature_file(tmp_path / "real.npz", 5)
    shorter = feature_file(tmp_path / "b.npz", 5, d=3)
    retrained = feature_file(tmp_path / "c.npz", 5, extractor="of other weights")
    for other in (shorter, retrained):
        with pytest.raises(LtdmError, match="different extractors"):
            rows(tmp_path, "kid", real, other)
    strange = feature_file(tmp_path / "d.npz", 0, labels=np.arange(12))
    with pytest.raises(LtdmError, match=r"d\.npz has labels from 0 to 11, .* classes 0 to 9"):
        rows(tmp_path, "kid", real, strange)
    nan = np.full((10, 4), np.nan)
    write_npz(tmp_path / "nan.npz", features=nan, labels=np.arange(10), about=np.array("{}"))
    with pytest.raises(LtdmError, match="not finite"):
        rows(tmp_path, "kid", real, tmp_path / "nan.npz")
