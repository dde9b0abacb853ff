"""Copies of training images: what is counted, and where it shows."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ltdm.metrics import _nearest, memorization
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, write_npz
from ltdm.reporting import copies as drawing
from ltdm.stages import copies_figure, metrics, neighbours
from tests.helpers.scores import sample
from tests.unit.metrics.test_nearest import MADE, STREAM, TRAIN

ROOT = Path(__file__).parents[3]
SEARCH = {"k": 50, "flip": False}
UNSEEN = np.concatenate([STREAM.integers(0, 256, (20, 3, 6, 6), dtype=np.uint8), TRAIN[80:90] ^ 1])
"""Of which the last ten look like copies, and are none."""


def shares(made, flip=False, train=TRAIN):
    squared = _nearest.nearest(made, train, 50, flip).squared
    found = memorization.score(sample(squared[:0]), sample(squared), memorization.Options())
    return {name: one.value for name, one in found.items()}


@pytest.mark.parametrize("change", ["none", "one pixel", "one level everywhere"])
def test_every_planted_copy_is_found_at_every_threshold_and_no_other_image(change):
    copied = TRAIN[10:30].copy()
    copied[:, 0, 2, 3] += 99 if change == "one pixel" else 0
    copied ^= change == "one level everywhere"
    found, alone = shares(np.concatenate([MADE, copied])), shares(copied)
    for t in memorization.THRESHOLDS:
        assert (alone[f"mq-{t}"], alone[f"memorized-{t}"]) == (20, 1)
        if t <= 60:  # at random, the nearest of few images is nearer than most
            assert (found[f"mq-{t}"], found[f"memorized-{t}"]) == (20, 20 / 60)
    assert (found["extracted"], alone["extracted"]) == (20 / 60, 1)
    assert (alone["l2-ratio"] == 0) == (change == "none")


def test_mirrored_copies_are_found_where_they_count():
    turned = TRAIN[10:30, :, :, ::-1].copy()
    assert shares(turned, flip=True)["mq-15"] == 20
    assert shares(turned)["mq-50"] == 0
    found = _nearest.nearest(turned, TRAIN, 50, True)
    assert found.mirrored[:, 0].all() and (found.numbers[:, 0] == np.arange(10, 30)).all()


def test_scores_by_hand():
    squared = np.array([[0.0, 0, 0, 0], [1, 4, 9, 16], [4, 4, 4, 4], [0, 1, 1, 1]])
    assert memorization.ratios(squared).tolist() == [0, 1 / 7.5, 1, 0]
    options = memorization.Options(alpha=0.8)
    found = memorization.score(sample(squared[1:3]), sample(squared), options)
    assert (found["unseen-15"].value, found["unseen-90"].value) == (0.5, 0.5)
    assert set(found) == set(memorization.HIGHER_IS_BETTER)
    assert (found["mq-15"].value, found["memorized-15"].value) == (3, 0.75)
    assert found["mq-15"].error == pytest.approx(4 * found["memorized-15"].error)
    assert found["memorized-15"].error == pytest.approx(np.sqrt(0.75 * 0.25 / 3))
    assert found["l2-ratio"].value == pytest.approx((0 + 1 / (0.8 * 2.5) + 1 / 0.8 + 0) / 4)
    assert found["extracted"].value == 0.75


def test_unseen_images_are_mixed_as_the_generated_ones_are():
    true, classes = np.array([True, False, False, True]), np.array([0, 0, 0, 1])
    assert memorization.in_mix(true, classes, np.array([0, 1, 1, 1])) == pytest.approx(
        1 / 12 + 3 / 4
    )
    assert memorization.in_mix(true, classes, np.array([-1, -1])) == 0.5
    assert np.isnan(memorization.in_mix(true, classes, np.array([0, 2])))
    assert np.isnan(memorization.in_mix(true[:0], classes[:0], np.array([-1])))


@pytest.mark.parametrize("flip", [False, True])
def test_what_is_trained_on_is_not_unseen(folder, flip):
    images = np.concatenate([TRAIN[:3], TRAIN[:3, :, :, ::-1], UNSEEN[:4]])
    write_npz(folder / "samples.npz", images=images, labels=np.arange(10), about=np.array("{}"))
    request = {"search": {**SEARCH, "flip": flip}, "unseen": True, "code": "this"}
    files = {"train": folder / "train.npz", "images": folder / "samples.npz"}
    neighbours.run(request, **files, neighbours=folder / "found.npz")
    (rows,) = read_npz(folder / "found.npz", "labels")
    assert rows.tolist() == list(range(6 if flip else 3, 10))


# Through the stages


@pytest.fixture
def folder(tmp_path):
    return prepared(tmp_path)


def prepared(folder):
    """Training images of three classes, and samples of which those of class 2 are copies."""
    labels, made = np.repeat([0, 1, 2], [50, 30, 10]), MADE.copy()
    of = np.arange(40) % 4 % 3
    made[of == 2] = TRAIN[80:90]
    about = np.array(json.dumps({"sampler": "ddim", "guidance": 0.5, "weights": "ema"}))
    write_npz(folder / "train.npz", images=TRAIN, labels=labels, index=np.arange(90))
    write_npz(folder / "samples.npz", images=made, labels=of, about=about)
    (folder / "counts.csv").write_text("class,name,train\n0,a,50\n1,b,30\n2,c,10\n")
    return folder


def find(folder, search=SEARCH, samples="samples.npz"):
    request = {"search": search, "unseen": False, "code": "this"}
    files = {"train": folder / "train.npz", "images": folder / samples}
    neighbours.run(request, **files, neighbours=folder / "found.npz")
    return folder / "found.npz"


def baseline(folder):
    """A reference of the training images of class 0, a copy of another, and thirty unseen ones."""
    images = np.concatenate([TRAIN[:50], TRAIN[60:61], UNSEEN])
    labels = np.repeat([0, 1, 0, 2], [50, 1, 20, 10])
    write_npz(folder / "reference.npz", images=images, labels=labels, about=np.array("{}"))
    (search,) = [json.loads(str(*read_npz(folder / "found.npz", "about")))["extractor"]["search"]]
    request = {"search": search, "unseen": True, "code": "this"}
    files = {"train": folder / "train.npz", "images": folder / "reference.npz"}
    neighbours.run(request, **files, neighbours=folder / "real.npz")
    return folder / "real.npz"


def rows(folder, found, **options):
    request = {
        "metric": {"name": "memorization", **options},
        "groups": {"kinds": ["all", "class", "thirds", "worst"]},
        "extractors": ["pixels"],
        "code": "this",
        "where": {"dataset": "d", "run": "x", "seed": 0, "sample_set": "main"},
    }
    files = {"counts": folder / "counts.csv", "real": [baseline(folder)], "fake": [found]}
    metrics.run(request, **files, table=folder / "x.csv", record=folder / "x.json")
    return pd.read_csv(folder / "x.csv", keep_default_na=False).set_index(["metric", "group"])


def test_rows_of_groups_compare_with_the_whole_training_set(folder):
    table = rows(folder, find(folder))
    assert set(table["features"]) == {"pixels"}
    held = table["n_real"].groupby("group").first().to_dict()
    assert held == {"all": 30, "head": 20, "medium": 0, "tail": 10,
                    "class-0": 20, "class-1": 0, "class-2": 10, "worst": 10}  # fmt: skip
    assert set(table["sampler"]) == {"ddim"}
    values = pd.to_numeric(table["value"])
    assert values["unseen-40"].dropna().to_dict() == {
        "head": 0, "tail": 1, "class-0": 0, "class-2": 1,
    }, "training images do not count, and what is no fault has no worst"  # fmt: skip
    assert np.isnan(values["unseen-40", "class-1"]) and np.isnan(values["unseen-40", "all"])
    assert values["mq-40"].to_dict() == {
        "all": 10, "head": 0, "medium": 0, "tail": 10,
        "class-0": 0, "class-1": 0, "class-2": 10, "worst": 10,
    }  # fmt: skip
    assert values["memorized-40", "tail"] == 1 and values["memorized-40", "all"] == 0.25
    assert table.loc[("memorized-40", "worst"), "note"] == "class-2"
    assert table.loc[("l2-ratio", "worst"), "note"] == "class-2"
    assert table.loc[("mq-40", "tail"), "n_fake"] == 10
    assert json.loads((folder / "x.json").read_text())["extractors"] == ["pixels"]
    assert "halved.mq-40" in rows(folder, folder / "found.npz", alpha=1.0, label="halved").index


def test_what_the_stages_refuse(folder):
    with pytest.raises(LtdmError, match="holds 90 images, of which no 91 can be the nearest"):
        find(folder, {**SEARCH, "k": 91})
    with pytest.raises(LtdmError, match=r"was searched with .*'k': 50.* asks for .*20"):
        rows(folder, find(folder), k=20)
    find(folder, {**SEARCH, "flip": True})
    real = baseline(folder)
    with pytest.raises(LtdmError, match="come from different extractors"):
        metrics.fit_together(real, metrics.features_of(real), find(folder),
                             metrics.features_of(find(folder)), 3)  # fmt: skip
    about = np.array("{}")
    for images in (MADE[..., :4], MADE.astype("f4")):
        write_npz(folder / "other.npz", images=images, labels=np.arange(40) % 3, about=about)
        with pytest.raises(LtdmError, match="compare them with what they were made from"):
            find(folder, samples="other.npz")
    write_npz(folder / "other.npz", images=MADE, labels=np.arange(40) % 4, about=about)
    with pytest.raises(LtdmError, match=r"has labels from 0 to 3, but .* classes 0 to 2"):
        rows(folder, find(folder, samples="other.npz"))
    with pytest.raises(LtdmError, match="is about other images"):
        write_npz(folder / "samples.npz", images=MADE[:3])
        draw(folder)


def test_samples_without_labels_are_scored_as_a_whole(folder):
    none = np.full(40, -1)
    write_npz(folder / "samples.npz", images=MADE, labels=none, about=np.array("{}"))
    assert set(rows(folder, find(folder)).index.get_level_values("group")) == {"all"}


def draw(folder, name="copies.png"):
    files = {"train": folder / "train.npz", "samples": folder / "samples.npz"}
    files |= {"counts": folder / "counts.csv", "neighbours": folder / "found.npz"}
    copies_figure.run({"code": "this"}, **files, picture=folder / name)
    with Image.open(folder / name) as image:
        return image.size, image.convert("L").getcolors()


def test_the_picture_has_a_panel_for_head_medium_and_tail(folder, monkeypatch):
    find(folder, {**SEARCH, "flip": True})
    seen, plain = [], drawing.pictures
    monkeypatch.setattr(
        drawing, "pictures", lambda pairs, panels: seen.extend(panels) or plain(pairs, panels)
    )
    wide, colours = draw(folder)
    assert len(colours) > 100
    assert [p.title.partition(" ")[0] for p in seen] == ["head", "medium", "tail"]
    assert seen[2].title == "tail (10 a class in training)"
    squared, labels = read_npz(folder / "found.npz", "features", "labels")
    for c, panel in enumerate(seen):
        assert set(labels[panel.rows]) == {c}
        r = memorization.ratios(squared)
        assert (np.diff(r[panel.rows]) >= 0).all()
        assert (
            r[panel.rows].max()
            <= np.delete(r, panel.rows)[np.delete(labels, panel.rows) == c].min()
        )
        assert len(panel.rows) == 8
    (folder / "counts.csv").write_text("class,name,train\n0,a,60\n1,b,30\n")
    assert draw(folder)[0][0] < wide[0], "fewer than three classes are one panel"
    assert seen[-1].title == "all"
    (folder / "counts.csv").write_text("class,name,train\n0,a,30\n1,b,30\n2,c,30\n")
    assert draw(folder)[0][0] < wide[0], "and so are classes alike, of which none is the tail"
    assert draw(folder, "again.png") and draw(folder, "copies.png")
    assert (folder / "again.png").read_bytes() == (folder / "copies.png").read_bytes()


def test_points_are_tied_to_their_nearest(folder):
    made, train = (STREAM.normal(size=(n, 2, 1, 1)).astype(np.float32) for n in (40, 90))
    write_npz(folder / "train.npz", images=train)
    write_npz(folder / "samples.npz", images=made, labels=np.arange(40) % 3, about=np.array("{}"))
    find(folder)
    assert len(draw(folder)[1]) > 20
