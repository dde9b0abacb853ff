"""The stage of the linear probe: its split of the images, its rows and its record."""

import json

import numpy as np
import pytest
import torch

from ltdm.data._holdout import stratified_holdout
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, write_npz
from ltdm.plumbing.options import parse
from ltdm.reporting.rows import read_rows
from ltdm.stages import probe, probe_split
from ltdm.training.probe import LabelledImages, ProbeOptions
from tests.helpers.stages import train_on_digits

GROUPING = {"kinds": ["all", "thirds", "shots"], "shots": [100, 20]}
OPTIONS = {"noise_levels": [3, 4], "layers": [1, 2], "epochs": 2, "lr": 0.01}
WHERE = {"dataset": "digits", "run": "ddpm", "seed": 0}


def test_held_out_share_per_class():
    labels = np.repeat([0, 1, 2, 3], [50, 10, 3, 1])
    rows = stratified_holdout(labels, 0.2, 0)
    assert np.bincount(labels[rows], minlength=4).tolist() == [10, 2, 1, 0]
    assert (rows == stratified_holdout(labels, 0.2, 0)).all()
    assert (rows != stratified_holdout(labels, 0.2, 1)).any()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with prepared digits, a trained network and the test images."""
    torch.set_num_threads(1)
    root = train_on_digits(tmp_path_factory.mktemp("probe"))
    request = {"source": {"name": "digits"}, "content": "", "code": "this", "places": {}}
    files = {"test": root / "probe_split.npz", "record": root / "probe_split.json"}
    probe_split.run(request, reference=root / "reference.npz", **files)
    return root


def run(folder, at, test=None, **changes):
    options = {**OPTIONS, **changes}
    balanced = parse(ProbeOptions, options).train_on == "balanced"
    probe.run(
        {"probe": options, "groups": GROUPING, "seed": 0, "code": "this", "where": WHERE},
        model=folder / "model.safetensors",
        train=folder / ("reference.npz" if balanced else "train.npz"),
        test=test or folder / "probe_split.npz",
        counts=folder / "counts.csv",
        table=at / "probe.csv",
        record=at / "probe.json",
    )
    return read_rows(at / "probe.csv")


def test_rows_of_a_probe(folder, tmp_path):
    rows = run(folder, tmp_path)
    assert len(rows) == 2 * 2 * 7
    assert set(rows["test"]) == {"held-out"}
    cell = rows[(rows["level"] == 3) & (rows["layer"] == 2)].set_index("group")
    for parts in (["head", "medium", "tail"], ["many-shot", "medium-shot", "few-shot"]):
        subset = cell.loc[parts]
        assert subset["n_test"].sum() == cell.loc["all", "n_test"] == 359
        mean = np.average(subset["accuracy"], weights=subset["n_test"])
        assert mean == pytest.approx(cell.loc["all", "accuracy"])
    best = rows[rows["validation"] == rows["validation"].max()].iloc[0]
    chosen = rows[rows["chosen"]]
    assert set(zip(chosen["level"], chosen["layer"], strict=True)) == {(best.level, best.layer)}
    record = json.loads((tmp_path / "probe.json").read_text())
    assert (record["level"], record["layer"], record["test"]) == (
        best.level,
        best.layer,
        "held-out",
    )
    assert record["model"] == json.loads((folder / "run.json").read_text())["key"]


def test_probe_is_deterministic(folder, tmp_path):
    for name in ("a", "b"):
        run(folder, tmp_path / name)
    assert (tmp_path / "a/probe.csv").read_bytes() == (tmp_path / "b/probe.csv").read_bytes()
    other = run(folder, tmp_path / "c", seed=1)
    assert (other["accuracy"] != read_rows(tmp_path / "a/probe.csv")["accuracy"]).any()
    run(folder, tmp_path / "d", weights="last")


def test_test_images_do_not_influence_the_choice(folder, tmp_path):
    images, labels, index, about = read_npz(
        folder / "probe_split.npz", "images", "labels", "index", "about"
    )
    write_npz(
        tmp_path / "probe_split.npz", images=images, labels=9 - labels, index=index, about=about
    )
    rows, other = (
        run(folder, tmp_path / "a"),
        run(folder, tmp_path / "b", tmp_path / "probe_split.npz"),
    )
    assert (rows[["validation", "chosen"]] == other[["validation", "chosen"]]).all(axis=None)
    assert (rows["accuracy"] != other["accuracy"]).any()


@pytest.mark.parametrize("train_on", ["balanced", "long-tailed"])
def test_training_validation_and_test_images_are_disjoint(folder, tmp_path, monkeypatch, train_on):
    """Marks in the corner pixels distinguish images that are twice in the source."""
    marked = tmp_path / "marked"
    marked.mkdir()
    for name in ("reference.npz", "train.npz", "probe_split.npz"):
        arrays = dict(np.load(folder / name))
        rows = arrays.get("index", np.arange(len(arrays["labels"])))
        arrays["images"][:, 0, 0, :2] = np.stack([rows // 256, rows % 256], axis=1)
        write_npz(marked / name, **arrays)
    for name in ("counts.csv", "model.safetensors"):
        (marked / name).write_bytes((folder / name).read_bytes())
    splits, to_device = [], LabelledImages.to_device
    monkeypatch.setattr(
        LabelledImages,
        "to_device",
        lambda device, *arrays: splits.append(arrays[0]) or to_device(device, *arrays),
    )
    run(marked, tmp_path, train_on=train_on)
    training, validation, testing = ({tuple(i[0, 0, :2]) for i in images} for images in splits)
    assert not training & validation
    assert not (training | validation) & testing
    assert len(testing) == 359
    rows = np.arange(1797)
    if train_on == "long-tailed":
        rows = np.load(folder / "train.npz")["index"]
    remaining = np.setdiff1d(rows, np.load(folder / "probe_split.npz")["index"])
    assert len(training) + len(validation) == len(remaining) < len(rows)


def test_test_split_of_the_source(folder, tmp_path):
    images, labels = read_npz(folder / "reference.npz", "images", "labels")
    file = tmp_path / "file.npz"
    np.savez(
        file,
        x_train=images[:1000],
        y_train=labels[:1000],
        x_test=images[1000:],
        y_test=labels[1000:],
    )
    source, places = {"name": "npz"}, {"path": str(file)}
    request = {"source": source, "content": "", "code": "this", "places": places}
    files = {"test": tmp_path / "probe_split.npz", "record": tmp_path / "probe_split.json"}
    probe_split.run(request, reference=folder / "reference.npz", **files)
    test_images, index = read_npz(tmp_path / "probe_split.npz", "images", "index")
    assert (test_images == images[1000:]).all()
    assert len(index) == 0
    assert json.loads(files["record"].read_text())["test"] == "official"
    assert set(run(folder, tmp_path, tmp_path / "probe_split.npz")["n_train"]) == {1618}
    few = labels[1000:] < 9
    np.savez(
        file, x_train=images, y_train=labels, x_test=images[1000:][few], y_test=labels[1000:][few]
    )
    with pytest.raises(LtdmError, match=r"9 classes, but .* in 10; a probe needs"):
        probe_split.run(request, reference=folder / "reference.npz", **files)


def test_networks_per_class_are_refused(tmp_path, monkeypatch):
    several = probe.Model([], None, {"label": "network"})
    monkeypatch.setattr(probe.Model, "from_file", lambda *_: several)
    with pytest.raises(LtdmError, match="one network per class"):
        probe._load_probe(tmp_path / "model.safetensors", ProbeOptions())


def test_mean_class_accuracy_weights_classes_equally():
    correct = np.array([[[True, True, True, False]]])
    assert probe.mean_class_accuracy(correct, np.array([0, 0, 0, 1])).tolist() == [[0.5]]
