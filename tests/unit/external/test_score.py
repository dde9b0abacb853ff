"""Images that others made, in every form they come in, scored as our own are."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ltdm.external import images as _given
from tests.unit.cli.test_cli import ltdm

STREAM = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], 8)
REAL = (STREAM.integers(0, 150, (24, 6, 6, 3)) + 50 * LABELS[:, None, None, None]).astype("u1")
FAKE = (STREAM.integers(0, 160, (24, 6, 6, 3)) + 40 * LABELS[:, None, None, None]).astype("u1")


@pytest.fixture
def forms(tmp_path):
    """The same generated images in each form, and the options that say their labels."""
    np.save(tmp_path / "float.npy", FAKE.transpose(0, 3, 1, 2).astype("f4") / 255)
    np.save(tmp_path / "labels.npy", LABELS)
    np.savez(tmp_path / "adm.npz", FAKE, LABELS)
    np.savez(tmp_path / "ours.npz", images=FAKE.transpose(0, 3, 1, 2), labels=LABELS, about="{}")
    for i, (image, label) in enumerate(zip(FAKE, LABELS, strict=True)):
        for folder in ("classes", "flat"):
            place = tmp_path / folder / (str(label) if folder == "classes" else ".")
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{i:02}.png")
    np.savez(tmp_path / "real.npz", images=REAL, labels=LABELS)
    labelled = ["--labels", tmp_path / "labels.npy"]
    return {"float.npy": labelled, "adm.npz": [], "ours.npz": [], "classes": [], "flat": []}


def score(tmp_path, images, *options, code=0, reference="real.npz"):
    asked = ["--features", "pixels", "--metric", "frechet", "--metric",
             "{name: precision-recall, k: 2, label: pr2}"]  # fmt: skip
    return ltdm("score", tmp_path / images, "--reference", tmp_path / reference, *asked,
                "--cache-dir", tmp_path / "work", *options, code=code)  # fmt: skip


def rows(printed):
    file = printed.partition("All rows: ")[2].strip()
    return pd.read_csv(file).drop(columns=["images", "reference"])


def test_the_form_does_not_matter(forms, tmp_path):
    found = {name: rows(score(tmp_path, name, *options)) for name, options in forms.items()}
    first = found["ours.npz"]
    assert set(first["group"]) == {"all", "class-0", "class-1", "class-2", "worst"}
    shares = {f"pr2.{name}" for name in ("precision", "recall", "density", "coverage")}
    assert set(first["metric"]) == {"frechet", "frechet-infinity"} | shares
    pair = found.pop("flat"), first.query("group == 'all'")
    for mine, expected in zip(*(f.set_index("metric")["value"].items() for f in pair), strict=True):
        if mine[0] != "frechet-infinity":  # its parts, like the errors, are by class
            assert mine == expected
    for mine in found.values():
        pd.testing.assert_frame_equal(mine, first)
    mean = np.square((FAKE.mean(0) - REAL.mean(0)) / 255).sum()
    assert first["value"][0] > mean, "the means alone are that far apart"


def test_what_was_extracted_is_used_again(forms, tmp_path, monkeypatch):
    score(tmp_path, "ours.npz")
    monkeypatch.setattr("ltdm.stages.features.run", None)
    monkeypatch.setattr("ltdm.stages.extractor.run", None)
    score(tmp_path, "ours.npz")
    assert len(list((tmp_path / "work").iterdir())) == 2


def test_labels_lie_beside_a_reference_too(forms, tmp_path):
    np.save(tmp_path / "bare.npy", REAL)
    told = score(tmp_path, "ours.npz", "--reference-labels", tmp_path / "labels.npy",
                 reference="bare.npy")  # fmt: skip
    assert rows(told).equals(rows(score(tmp_path, "ours.npz")))


def save(tmp_path, **arrays):
    np.savez(tmp_path / "bad.npz", **arrays)
    return "bad.npz"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": FAKE.astype("f4")}, "from 0 to 1; these are float32 from 0 to 2"),
        ({"images": FAKE.astype("i8")}, "must be uint8, or numbers from 0 to 1; these are int64"),
        ({"images": FAKE / np.nan}, "from 0 to 1; these are float64 from nan to nan"),
        ({"images": FAKE[..., :2]}, "must hold square images"),
        ({"images": FAKE[:, :4, :4]}, "shape (3, 4, 4) (channels, height, width), the reference"),
        ({"pictures": FAKE}, "has no array of images; it holds pictures"),
        ({"images": FAKE, "labels": LABELS[1:]}, "one whole number for each of 24 images"),
        ({"images": FAKE, "labels": LABELS + 1}, "has labels from 1 to 3, but the data set has"),
        ({"images": FAKE, "labels": LABELS / 2}, "one whole number for each of 24 images"),
        ({"images": FAKE, "labels": LABELS - 1}, "some images have labels and some (below 0) have"),
        ({"images": FAKE[:0]}, "one whole number for each of 0 images"),
    ],
)
def test_arrays_that_cannot_be_scored(forms, tmp_path, arrays, message):
    with np.errstate(divide="ignore", invalid="ignore"):
        assert message in score(tmp_path, save(tmp_path, **arrays), code=1)


def test_folders_that_cannot_be_scored(forms, tmp_path):
    (tmp_path / "classes/1").rename(tmp_path / "classes/cat")
    assert "folder 'cat', which is no class of the reference" in score(tmp_path, "classes", code=1)
    (tmp_path / "classes/cat").rename(tmp_path / "classes/1")
    Image.fromarray(FAKE[0, :3]).save(tmp_path / "flat/00.png")
    assert "of one size, not 6 x 3" in score(tmp_path, "flat", code=1)
    Image.fromarray(FAKE[0]).save(tmp_path / "flat/00.png")
    (tmp_path / "flat/01.png").write_bytes(b"no image")
    assert "01.png (cannot identify image file)" in score(tmp_path, "flat", code=1)
    assert "none.npz is missing; fix the path" in score(tmp_path, "none.npz", code=1)
    assert "holds several arrays; write the labels alone" in score(
        tmp_path, "float.npy", "--labels", tmp_path / "adm.npz", code=1
    )
    np.savez(tmp_path / "huge.npz", images=REAL, labels=LABELS * 10**12)
    assert "must be 0 to C - 1 without a gap, but reach 2000000000000 in 3 classes" in score(
        tmp_path, "ours.npz", reference="huge.npz", code=1
    )
    Image.fromarray(FAKE[0]).save(tmp_path / "classes/1.png")
    assert "holds both images (1.png) and folders (0)" in score(tmp_path, "classes", code=1)
    (tmp_path / "classes/1.png").unlink()
    (tmp_path / "junk.npy").write_bytes(b"\x80\x04.")
    assert "junk.npy is damaged" in score(tmp_path, "junk.npy", code=1)
    assert "are its labels; leave" in score(
        tmp_path, "classes", "--labels", tmp_path / "labels.npy", code=1
    )


def test_named_classes_of_a_folder(tmp_path):
    for name, value in (("owl", 10), ("cat", 200)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((4, 4), value, "u1")).save(tmp_path / name / "1.png")
    found = _given.read(tmp_path)
    assert found.names == ["cat", "owl"]
    assert found.images[:, 0, 0, 0].tolist() == [200, 10]
    assert found.labels.tolist() == [0, 1]
    assert _given.read(tmp_path, names=["owl", "dog", "cat"]).labels.tolist() == [2, 0]


def test_parts_are_written_as_in_a_config(forms, tmp_path):
    wrong = ltdm("score", tmp_path / "ours.npz", "--reference", tmp_path / "real.npz",
                 "--features", "pixles", "--cache-dir", tmp_path, code=1)  # fmt: skip
    assert "no extractor is called 'pixles'; did you mean 'pixels'?" in wrong
    unfed = ltdm("score", tmp_path / "ours.npz", "--reference", tmp_path / "real.npz", "--features",
                 "pixels", "--metric", "accuracy", "--cache-dir", tmp_path, code=1)  # fmt: skip
    assert "accuracy reads the probabilities of the data's classes (classifier), and none" in unfed


def test_a_data_folder_is_left_as_it_is(forms, tmp_path):
    score(tmp_path, "ours.npz")
    (ours,) = (tmp_path / "work").glob("reference-*")
    ours.rename(tmp_path / "data")
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "data").rglob("*")}
    told = ltdm("score", tmp_path / "ours.npz", "--reference", tmp_path / "data", "--cache-dir",
                tmp_path / "work", "--metric", "frechet")  # fmt: skip
    found = rows(told)
    assert set(found["extractor"]) == {"pixels"}, "what lies there"
    assert {"head", "medium", "tail"} < set(found["group"])
    ltdm("score", tmp_path / "ours.npz", "--reference", tmp_path / "data", "--cache-dir",
         tmp_path / "work", "--metric", "accuracy", "--features",
         "{name: classifier, width: 4, steps: 3}")  # fmt: skip
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "data").rglob("*")} == before
    twice = "--reference-labels", tmp_path / "labels.npy"
    assert "knows its labels" in score(tmp_path, "ours.npz", *twice, reference="data", code=1)


def test_two_references_keep_their_rows_apart(forms, tmp_path):
    np.savez(tmp_path / "other.npz", images=255 - REAL, labels=LABELS)
    first = score(tmp_path, "ours.npz")
    second = score(tmp_path, "ours.npz", reference="other.npz")
    assert rows(first)["value"][0] < rows(second)["value"][0]
    written = pd.read_csv(second.partition("All rows: ")[2].strip())
    assert written["reference"].str.contains("work/reference-").all()


def test_a_reference_without_labels(forms, tmp_path):
    np.save(tmp_path / "bare.npy", REAL)
    for images in ("ours.npz", "classes", "flat"):
        found = rows(score(tmp_path, images, reference="bare.npy"))
        assert set(found["group"]) == {"all"}
        assert set(found["n_generated"]) == {24}
    printed = ltdm("score", tmp_path / "flat", "--reference", tmp_path / "bare.npy", "--features",
                   "classifier", "--cache-dir", tmp_path / "work", code=1)  # fmt: skip
    assert "classifier learns the reference's classes, and its images have no labels" in printed


def test_images_without_labels_have_the_clusters_of_the_reference_and_no_accuracy(forms, tmp_path):
    """PRD's clusters are 20 for each real class, whoever is compared with it."""
    asked = ["--reference", tmp_path / "real.npz", "--cache-dir", tmp_path / "work", "--features",
             "{name: classifier, width: 4, steps: 3}", "--metric", "accuracy", "--metric",
             "{name: prd, clusters: 3, num_clusterings: 2}"]  # fmt: skip
    flat, whole = (rows(ltdm("score", tmp_path / name, *asked)) for name in ("flat", "classes"))
    values = [f.query("group == 'all'").set_index("metric")["value"] for f in (flat, whole)]
    assert values[0]["prd-f8"] == values[1]["prd-f8"]
    assert np.isnan(values[0]["accuracy"])
    assert flat.query("metric == 'accuracy'")["note"].tolist() == ["no labels"]
