"""Image sets of other projects in every format, scored by ltdm's stages."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ltdm.external import images as image_sets
from ltdm.external.reference import Reference
from ltdm.external.score import run as run_score
from ltdm.plumbing.registry import parse_part_list
from ltdm.reporting.rows import read_rows
from tests.unit.cli.test_cli import ltdm

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], 8)
REAL = (RNG.integers(0, 150, (24, 6, 6, 3)) + 50 * LABELS[:, None, None, None]).astype("u1")
PR2 = "{name: precision-recall, k: 2, label: pr2}"
CLASSIFIER = "{name: classifier, width: 4, steps: 3}"
FAKE = (RNG.integers(0, 160, (24, 6, 6, 3)) + 40 * LABELS[:, None, None, None]).astype("u1")


@pytest.fixture
def formats(tmp_path):
    """Write the same generated images in each format; return the options that give their labels."""
    np.save(tmp_path / "float.npy", FAKE.transpose(0, 3, 1, 2).astype("f4") / 255)
    np.save(tmp_path / "labels.npy", LABELS)
    np.savez(tmp_path / "adm.npz", FAKE, LABELS)
    np.savez(tmp_path / "ours.npz", images=FAKE.transpose(0, 3, 1, 2), labels=LABELS, about="{}")
    for i, (image, label) in enumerate(zip(FAKE, LABELS, strict=True)):
        for folder in ("classes", "flat"):
            parent = tmp_path / folder / (str(label) if folder == "classes" else ".")
            parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(parent / f"{i:02}.png")
    np.savez(tmp_path / "real.npz", images=REAL, labels=LABELS)
    labels = ["--labels", tmp_path / "labels.npy"]
    return {"float.npy": labels, "adm.npz": [], "ours.npz": [], "classes": [], "flat": []}


def score(tmp_path, images, *options, code=0, reference="real.npz"):
    """Run `ltdm score` for two metrics of pixels; return what it prints."""
    parts = ["--extractor", "pixels", "--metric", "frechet", "--metric", PR2]
    return score_with(tmp_path, images, *parts, *options, code=code, reference=reference)


def score_with(tmp_path, images, *options, code=0, reference="real.npz"):
    """Run `ltdm score`; return what it prints."""
    paths = ["--reference", tmp_path / reference, "--cache-dir", tmp_path / "work"]
    return ltdm("score", tmp_path / images, *paths, *options, code=code)


def rows(printed):
    """Return the rows in the file that `ltdm score` names."""
    file = printed.partition("All rows: ")[2].strip()
    return pd.read_csv(file).drop(columns=["images", "reference"])


def test_rows_do_not_depend_on_the_format(formats, tmp_path):
    by_format = {name: rows(score(tmp_path, name, *options)) for name, options in formats.items()}
    first = by_format["ours.npz"]
    assert set(first["group"]) == {"all", "class-0", "class-1", "class-2", "worst"}
    fractions = {f"pr2.{name}" for name in ("precision", "recall", "density", "coverage")}
    assert set(first["metric"]) == {"frechet", "frechet-infinity"} | fractions
    pair = by_format.pop("flat"), first.query("group == 'all'")
    values = (frame.set_index("metric")["value"].items() for frame in pair)
    for actual, expected in zip(*values, strict=True):
        if actual[0] != "frechet-infinity":  # its subsets, like the errors, are drawn by class
            assert actual == expected
    for other in by_format.values():
        pd.testing.assert_frame_equal(other, first)
    mean = np.square((FAKE.mean(0) - REAL.mean(0)) / 255).sum()
    assert first["value"][0] > mean, "at least the distance of the means"


@pytest.mark.parametrize("name", ["real.npz", "folder"])
def test_a_set_against_itself(tmp_path, name):
    """Distances are 0, shares 1, images are copies; unbiased distances are negative and noted."""
    images = RNG.integers(0, 256, (60, 6, 6, 3), np.uint8)
    if name == "folder":
        (tmp_path / name).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"{i}.png")
    else:
        np.savez(tmp_path / name, images=images)
    metrics = ["frechet", "kid", "precision-recall", "{name: prd, clusters: 2}"]
    metrics += ["{name: memorization, k: 10}"]
    options = [text for metric in metrics for text in ("--metric", metric)]
    printed = score_with(tmp_path, name, "--extractor", "pixels", *options, reference=name)
    table = rows(printed).set_index("metric")
    value = table["value"]
    assert abs(value["frechet"]) < 1e-9
    for share in ("precision", "recall", "coverage", "extracted", "memorized-0.15"):
        assert value[share] == 1, share
    assert value[["prd-f8", "prd-f1/8"]].to_numpy() == pytest.approx(1, abs=1e-6)
    assert value["density"] == pytest.approx(1, abs=0.05), (
        "images on a ball's border fall either way"
    )
    assert (value["mq-0.15"], value["l2-ratio"]) == (60, 0)
    x = images.transpose(0, 3, 1, 2).reshape(60, -1) / 255
    kernel = (x @ x.T / x.shape[1] + 1) ** 3
    excess = np.trace(kernel) / 60 - (kernel.sum() - np.trace(kernel)) / (60 * 59)
    assert value["kid"] == pytest.approx(-2 / 60 * excess)
    assert value["frechet-infinity"] < 0
    noted = table["note"].fillna("").str.contains("not above 0")
    assert set(table.index[noted]) == {"kid", "frechet-infinity"}
    assert printed.count("not above 0") == 2


def test_features_are_extracted_once(formats, tmp_path, monkeypatch):
    score(tmp_path, "ours.npz")
    monkeypatch.setattr("ltdm.stages.features.run", None)
    monkeypatch.setattr("ltdm.stages.extractor.run", None)
    score(tmp_path, "ours.npz")
    assert len(list((tmp_path / "work").iterdir())) == 2


def test_labels_of_a_reference_in_a_file_of_their_own(formats, tmp_path):
    np.save(tmp_path / "bare.npy", REAL)
    labels = ["--reference-labels", tmp_path / "labels.npy"]
    printed = score(tmp_path, "ours.npz", *labels, reference="bare.npy")
    assert rows(printed).equals(rows(score(tmp_path, "ours.npz")))


def test_named_classes_of_a_folder(tmp_path):
    for name, value in (("owl", 10), ("cat", 200)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((4, 4), value, "u1")).save(tmp_path / name / "1.png")
    image_set = image_sets.read_images(tmp_path)
    assert image_set.names == ["cat", "owl"]
    assert image_set.images[:, 0, 0, 0].tolist() == [200, 10]
    assert image_set.labels.tolist() == [0, 1]
    assert image_sets.read_images(tmp_path, names=["owl", "dog", "cat"]).labels.tolist() == [2, 0]


@pytest.mark.parametrize("images", ["x" * 250, os.fsdecode(b"caf\xe9")])
def test_folders_and_classes_may_have_any_name(tmp_path, images):
    """Names of classes go through the reference's counts.csv, that of the images into all rows."""
    names = ["NA", "1e5", "a\rb", "a\nb"]
    for name in names:
        for folder in ("real", images):
            (tmp_path / folder / name).mkdir(parents=True)
            for k in range(8):
                image = Image.fromarray(RNG.integers(0, 255, (4, 4), "u1"))
                image.save(tmp_path / folder / name / f"{k}.png")
    extractors = parse_part_list("extractor", ["pixels"], ())
    metrics = parse_part_list("metric", [{"name": "precision-recall", "label": "metrics"}], ())
    cache = tmp_path / "work"
    Reference(tmp_path / "real", None, cache).folder.rename(tmp_path / "data")
    reference = Reference(tmp_path / "data", None, cache)
    assert reference.names == sorted(names)
    scored, file = run_score(tmp_path / images, reference, extractors, metrics, None, cache)
    assert len(read_rows(file)) == len(scored) > 0
    assert len(read_rows(file.parent / "metrics/metrics.csv").columns) > len(scored.columns)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{name: kid", "line 1: is not YAML: expected ',' or '}'"),
        ("a: b: c", "line 1: is not YAML: mapping values are not allowed"),
        ("[" * 2000, "is not YAML"),
        ("{name: kid, subsets: 010}", "line 1: 010 is a number that YAML 1.1 reads as octal"),
        ("{name: kid, subsets: 0}", "--metric.0.subsets: must be at least 1"),
    ],
)
def test_a_part_that_is_no_yaml_is_one_short_sentence(formats, tmp_path, text, words):
    parts = ["--extractor", "pixels", "--metric", text]
    printed = score_with(tmp_path, "ours.npz", *parts, code=1)
    assert printed.startswith("ltdm: --metric") and words in printed
    assert printed.count("\n") == 1 and len(printed) < 250


def test_a_reference_at_the_root_and_a_cache_that_is_a_file_are_one_sentence(formats, tmp_path):
    arguments = ["score", tmp_path / "ours.npz", "--extractor", "pixels", "--metric", "frechet"]
    printed = ltdm(*arguments, "--reference", "/no-such-reference", code=1)
    assert printed == "ltdm: /no-such-reference is missing; fix the path\n"
    cache = ["--cache-dir", tmp_path / "float.npy"]
    printed = ltdm(*arguments, "--reference", tmp_path / "ours.npz", *cache, code=1)
    assert "its path leads through a file" in printed and printed.count("\n") == 1


def test_errors_of_extractors_and_metrics(formats, tmp_path):
    printed = score_with(tmp_path, "ours.npz", "--extractor", "pixles", code=1)
    assert "no extractor is called 'pixles'; did you mean 'pixels'?" in printed
    parts = ["--extractor", "pixels", "--metric", "accuracy"]
    printed = score_with(tmp_path, "ours.npz", *parts, code=1)
    assert "accuracy reads the probabilities of the data's classes (classifier)" in printed


def test_a_metric_may_name_its_extractor(formats, tmp_path):
    parts = ["--extractor", "pixels", "--extractor", "{name: pixels, label: p}"]
    metrics = ["--metric", "frechet", "--metric", "{name: kid, extractor: p}"]
    scored = rows(score_with(tmp_path, "ours.npz", *parts, *metrics))
    used = scored.groupby("metric")["extractor"].unique().map(list)
    assert used["kid"] == ["p"]
    assert used["frechet"] == ["pixels", "p"]


def test_data_folder_is_not_changed(formats, tmp_path):
    score(tmp_path, "ours.npz")
    (folder,) = (tmp_path / "work").glob("reference-*")
    folder.rename(tmp_path / "data")
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "data").rglob("*")}
    scored = rows(score_with(tmp_path, "ours.npz", "--metric", "frechet", reference="data"))
    assert set(scored["extractor"]) == {"pixels"}, "the extractor of the data folder"
    assert {"head", "medium", "tail"} < set(scored["group"])
    parts = ["--metric", "accuracy", "--extractor", CLASSIFIER]
    score_with(tmp_path, "ours.npz", *parts, reference="data")
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "data").rglob("*")} == before
    (tmp_path / "data/extractors/pixels.safetensors").unlink()  # its record is still there
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "data").rglob("*")}
    score_with(tmp_path, "ours.npz", "--metric", "frechet", reference="data")
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "data").rglob("*")} == before
    labels = "--reference-labels", tmp_path / "labels.npy"
    assert "contains its labels" in score(tmp_path, "ours.npz", *labels, reference="data", code=1)


def test_each_reference_has_rows_of_its_own(formats, tmp_path):
    np.savez(tmp_path / "other.npz", images=255 - REAL, labels=LABELS)
    first = score(tmp_path, "ours.npz")
    second = score(tmp_path, "ours.npz", reference="other.npz")
    assert rows(first)["value"][0] < rows(second)["value"][0]
    table = pd.read_csv(second.partition("All rows: ")[2].strip())
    assert table["reference"].str.contains("work/reference-").all()


def test_reference_without_labels(formats, tmp_path):
    np.save(tmp_path / "bare.npy", REAL)
    for images in ("ours.npz", "classes", "flat"):
        scored = rows(score(tmp_path, images, reference="bare.npy"))
        assert set(scored["group"]) == {"all"}
        assert set(scored["n_generated"]) == {24}
    parts = ["--extractor", "classifier"]
    printed = score_with(tmp_path, "flat", *parts, reference="bare.npy", code=1)
    assert "classifier learns the reference's classes, and its images have no labels" in printed


def test_images_without_labels_have_a_prd_and_no_accuracy(formats, tmp_path):
    """PRD has 20 clusters per class of the reference, whatever is compared with it."""
    prd = "{name: prd, clusters: 3, num_clusterings: 2}"
    parts = ["--extractor", CLASSIFIER, "--metric", "accuracy", "--metric", prd]
    flat, class_blocks = (rows(score_with(tmp_path, name, *parts)) for name in ("flat", "classes"))
    values = [f.query("group == 'all'").set_index("metric")["value"] for f in (flat, class_blocks)]
    assert values[0]["prd-f8"] == values[1]["prd-f8"]
    assert np.isnan(values[0]["accuracy"])
    assert flat.query("metric == 'accuracy'")["note"].tolist() == ["no labels"]
