"""Memorisation: copies of training images in the metric, its stages and its figure."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ltdm.metrics import _nearest_train, memorization
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, write_npz
from ltdm.reporting import copies as drawing
from ltdm.stages import copies_figure, metrics, neighbours
from tests.helpers.scores import sample
from tests.unit.metrics.test_nearest_train import GENERATED, RNG, TRAIN

ROOT = Path(__file__).parents[3]
SEARCH = {"k": 50, "flip": False}
UNSEEN = np.concatenate([RNG.integers(0, 256, (20, 3, 6, 6), dtype=np.uint8), TRAIN[80:90] ^ 1])
"""Real images outside the training set; the last ten are near copies of training images."""


def shares(generated, flip=False, train=TRAIN):
    squared = _nearest_train.find_nearest(generated, train, 50, flip).squared_distances
    estimates = memorization.score(sample(squared[:0]), sample(squared), memorization.Options())
    return {name: estimate.value for name, estimate in estimates.items()}


@pytest.mark.parametrize("change", ["none", "one pixel", "one level everywhere"])
def test_every_planted_copy_is_found_at_every_threshold_and_no_other_image(change):
    copies_of_train = TRAIN[10:30].copy()
    copies_of_train[:, 0, 2, 3] += 99 if change == "one pixel" else 0
    copies_of_train ^= change == "one level everywhere"
    estimates = shares(np.concatenate([GENERATED, copies_of_train]))
    of_copies = shares(copies_of_train)
    for t in memorization.THRESHOLDS:
        assert (of_copies[f"mq-{t:.2f}"], of_copies[f"memorized-{t:.2f}"]) == (20, 1)
        if t <= 0.6:  # at random, the nearest of few images is nearer than most
            assert (estimates[f"mq-{t:.2f}"], estimates[f"memorized-{t:.2f}"]) == (20, 20 / 60)
    assert (estimates["extracted"], of_copies["extracted"]) == (20 / 60, 1)
    assert (of_copies["l2-ratio"] == 0) == (change == "none")


def test_mirrored_copies_are_found_where_they_count():
    mirrored = TRAIN[10:30, :, :, ::-1].copy()
    assert shares(mirrored, flip=True)["mq-0.15"] == 20
    assert shares(mirrored)["mq-0.50"] == 0
    nearest = _nearest_train.find_nearest(mirrored, TRAIN, 50, True)
    assert nearest.mirrored[:, 0].all() and (nearest.rows[:, 0] == np.arange(10, 30)).all()


def test_scores_by_hand():
    squared = np.array([[0.0, 0, 0, 0], [1, 4, 9, 16], [4, 4, 4, 4], [0, 1, 1, 1]])
    assert memorization.nearest_ratio(squared).tolist() == [0, 1 / 7.5, 1, 0]
    options = memorization.Options(alpha=0.8)
    estimates = memorization.score(sample(squared[1:3]), sample(squared), options)
    assert [estimates[f"memorized-{t}"].baseline for t in ("0.15", "0.90")] == [0.5, 0.5]
    assert set(estimates) == set(memorization.HIGHER_IS_BETTER)
    assert (estimates["mq-0.15"].value, estimates["memorized-0.15"].value) == (3, 0.75)
    assert estimates["mq-0.15"].error == pytest.approx(4 * estimates["memorized-0.15"].error)
    assert estimates["memorized-0.15"].error == pytest.approx(np.sqrt(0.75 * 0.25 / 3))
    assert estimates["l2-ratio"].value == pytest.approx((0 + 1 / (0.8 * 2.5) + 1 / 0.8 + 0) / 4)
    assert estimates["extracted"].value == 0.75


@pytest.mark.parametrize(
    ("labels", "share"), [([0, 1, 1, 1], 1 / 12 + 3 / 4), ([-1, -1], 0.5), ([0, 2], np.nan)]
)
def test_the_baseline_has_the_class_proportions_of_the_generated_images(labels, share):
    flags, classes = np.array([True, False, False, True]), np.array([0, 0, 0, 1])
    reweighted = memorization.reweighted_share(flags, classes, np.array(labels))
    assert reweighted == pytest.approx(share, nan_ok=True)
    assert np.isnan(memorization.reweighted_share(flags[:0], classes[:0], np.array([-1])))


@pytest.mark.parametrize("flip", [False, True])
def test_training_images_are_left_out_of_the_baseline(folder, flip):
    images = np.concatenate([TRAIN[:3], TRAIN[:3, :, :, ::-1], UNSEEN[:4]])
    write_npz(folder / "samples.npz", images=images, labels=np.arange(10), about=np.array("{}"))
    request = {"search": {**SEARCH, "flip": flip}, "unseen": True, "code": "this"}
    files = {"train": folder / "train.npz", "images": folder / "samples.npz"}
    neighbours.run(request, **files, neighbours=folder / "found.npz")
    (labels,) = read_npz(folder / "found.npz", "labels")
    assert labels.tolist() == list(range(6 if flip else 3, 10))


# Through the stages


@pytest.fixture
def folder(tmp_path):
    return prepare_folder(tmp_path)


def prepare_folder(folder):
    """Write training images of three classes, and samples; those of class 2 are copies."""
    labels, generated = np.repeat([0, 1, 2], [50, 30, 10]), GENERATED.copy()
    classes = np.arange(40) % 4 % 3
    generated[classes == 2] = TRAIN[80:90]
    about = np.array(json.dumps({"sampler": "ddim", "guidance": 0.5, "weights": "ema"}))
    write_npz(folder / "train.npz", images=TRAIN, labels=labels, index=np.arange(90))
    write_npz(folder / "samples.npz", images=generated, labels=classes, about=about)
    (folder / "counts.csv").write_text("class,name,train\n0,a,50\n1,b,30\n2,c,10\n")
    return folder


def find_neighbours(folder, search=SEARCH, samples="samples.npz"):
    request = {"search": search, "unseen": False, "code": "this"}
    files = {"train": folder / "train.npz", "images": folder / samples}
    neighbours.run(request, **files, neighbours=folder / "found.npz")
    return folder / "found.npz"


def find_baseline(folder):
    """Search neighbours of a reference: class 0 of the training set, a copy, and thirty others."""
    images = np.concatenate([TRAIN[:50], TRAIN[60:61], UNSEEN])
    labels = np.repeat([0, 1, 0, 2], [50, 1, 20, 10])
    write_npz(folder / "reference.npz", images=images, labels=labels, about=np.array("{}"))
    about = json.loads(str(*read_npz(folder / "found.npz", "about")))
    search = about["extractor"]["search"]
    request = {"search": search, "unseen": True, "code": "this"}
    files = {"train": folder / "train.npz", "images": folder / "reference.npz"}
    neighbours.run(request, **files, neighbours=folder / "real.npz")
    return folder / "real.npz"


def metric_table(folder, features, **options):
    """Run the stage `metrics`; return its rows by metric and group."""
    request = {
        "metric": {"name": "memorization", **options},
        "groups": {"kinds": ["all", "class", "thirds", "worst"]},
        "extractors": ["pixels"],
        "code": "this",
        "where": {"dataset": "d", "run": "x", "seed": 0, "sample_set": "main"},
    }
    files = {"counts": folder / "counts.csv", "real": [find_baseline(folder)], "fake": [features]}
    metrics.run(request, **files, table=folder / "x.csv", record=folder / "x.json")
    return pd.read_csv(folder / "x.csv", keep_default_na=False).set_index(["metric", "group"])


def test_rows_of_groups_compare_with_the_full_training_set(folder):
    table = metric_table(folder, find_neighbours(folder))
    assert set(table["extractor"]) == {"pixels"}
    num_real = table["n_real"].groupby("group").first().to_dict()
    thirds = {"all": 30, "head": 20, "medium": 0, "tail": 10}
    assert num_real == {**thirds, "class-0": 20, "class-1": 0, "class-2": 10, "worst": 10}
    assert set(table["sampler"]) == {"ddim"}
    values = pd.to_numeric(table["value"])
    baselines = pd.to_numeric(table["baseline"])
    expected = {"head": 0, "tail": 1, "class-0": 0, "class-2": 1, "worst": 1}
    assert baselines["memorized-0.40"].dropna().to_dict() == expected, "without training images"
    assert np.isnan(baselines["memorized-0.40", "all"]), "class 1 has no image outside training"
    assert baselines["mq-0.40"].isna().all(), "a count has no baseline"
    thirds = {"all": 10, "head": 0, "medium": 0, "tail": 10}
    expected = {**thirds, "class-0": 0, "class-1": 0, "class-2": 10, "worst": 10}
    assert values["mq-0.40"].to_dict() == expected
    assert values["memorized-0.40", "tail"] == 1 and values["memorized-0.40", "all"] == 0.25
    assert table.loc[("memorized-0.40", "worst"), "note"] == "class-2"
    assert table.loc[("l2-ratio", "worst"), "note"] == "class-2"
    assert table.loc[("mq-0.40", "tail"), "n_generated"] == 10
    assert json.loads((folder / "x.json").read_text())["extractors"] == ["pixels"]
    labelled = metric_table(folder, folder / "found.npz", alpha=1.0, label="halved")
    assert "halved.mq-0.40" in labelled.index


def test_inputs_that_the_stages_reject(folder):
    with pytest.raises(LtdmError, match=r"train\.npz has 90 images, .* 91"):
        find_neighbours(folder, {**SEARCH, "k": 91})
    with pytest.raises(LtdmError, match=r"found\.npz was searched with .*'k': 50.*'k': 20"):
        metric_table(folder, find_neighbours(folder), k=20)
    find_neighbours(folder, {**SEARCH, "flip": True})
    real = find_baseline(folder)
    fake = find_neighbours(folder)
    real_features, fake_features = metrics.read_features(real), metrics.read_features(fake)
    with pytest.raises(LtdmError, match="different extractors"):
        metrics.check_comparable(real, real_features, fake, fake_features, 3)
    about = np.array("{}")
    for images in (GENERATED[..., :4], GENERATED.astype("f4")):
        write_npz(folder / "other.npz", images=images, labels=np.arange(40) % 3, about=about)
        with pytest.raises(
            LtdmError, match=r"other\.npz has .* compare images with the training set"
        ):
            find_neighbours(folder, samples="other.npz")
    write_npz(folder / "other.npz", images=GENERATED, labels=np.arange(40) % 4, about=about)
    with pytest.raises(LtdmError, match=r"labels from 0 to 3, but .* classes 0 to 2"):
        metric_table(folder, find_neighbours(folder, samples="other.npz"))
    with pytest.raises(LtdmError, match=r"found\.npz is about other images"):
        write_npz(folder / "samples.npz", images=GENERATED[:3], labels=np.arange(3))
        plot_copies(folder)


def test_samples_without_labels_have_only_the_group_all(folder):
    no_labels = np.full(40, -1)
    write_npz(folder / "samples.npz", images=GENERATED, labels=no_labels, about=np.array("{}"))
    table = metric_table(folder, find_neighbours(folder))
    assert set(table.index.get_level_values("group")) == {"all"}


def plot_copies(folder, name="copies.png"):
    files = {"train": folder / "train.npz", "samples": folder / "samples.npz"}
    files |= {"counts": folder / "counts.csv", "neighbours": folder / "found.npz"}
    copies_figure.run({"code": "this"}, **files, picture=folder / name)
    with Image.open(folder / name) as image:
        return image.size, image.convert("L").getcolors()


def test_the_picture_has_a_panel_for_head_medium_and_tail(folder, monkeypatch):
    find_neighbours(folder, {**SEARCH, "flip": True})
    shown_panels, plot_images = [], drawing.plot_images

    def record_panels(pairs, panels):
        shown_panels.extend(panels)
        return plot_images(pairs, panels)

    monkeypatch.setattr(drawing, "plot_images", record_panels)
    wide, colours = plot_copies(folder)
    assert len(colours) > 100
    assert [p.title.partition(" ")[0] for p in shown_panels] == ["head", "medium", "tail"]
    assert shown_panels[2].title == "tail (10 per class in training)"
    squared, labels = read_npz(folder / "found.npz", "features", "labels")
    for c, panel in enumerate(shown_panels):
        assert set(labels[panel.rows]) == {c}
        r = memorization.nearest_ratio(squared)
        assert (np.diff(r[panel.rows]) >= 0).all()
        others = np.delete(r, panel.rows)[np.delete(labels, panel.rows) == c]
        assert r[panel.rows].max() <= others.min()
        assert len(panel.rows) == 8
    (folder / "counts.csv").write_text("class,name,train\n0,a,60\n1,b,30\n")
    assert plot_copies(folder)[0][0] < wide[0], "fewer than three classes are one panel"
    assert shown_panels[-1].title == "all"
    (folder / "counts.csv").write_text("class,name,train\n0,a,30\n1,b,30\n2,c,30\n")
    assert plot_copies(folder)[0][0] < wide[0], (
        "and so are classes of equal size, since none is the tail"
    )
    assert plot_copies(folder, "again.png") and plot_copies(folder, "copies.png")
    assert (folder / "again.png").read_bytes() == (folder / "copies.png").read_bytes()


def test_points_are_linked_to_their_nearest(folder):
    generated, train = (RNG.normal(size=(n, 2, 1, 1)).astype(np.float32) for n in (40, 90))
    write_npz(folder / "train.npz", images=train, labels=np.arange(90) % 3)
    write_npz(
        folder / "samples.npz", images=generated, labels=np.arange(40) % 3, about=np.array("{}")
    )
    find_neighbours(folder)
    assert len(plot_copies(folder)[1]) > 20
