"""The linear probe: its network calls, its classifiers, and its split of the images."""

import json

import numpy as np
import pytest
import torch

from ltdm.data._holdout import stratified_holdout
from ltdm.diffusion import edm
from ltdm.networks import edm2, unet
from ltdm.networks._predictor import Predictor
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import read_npz, write_npz
from ltdm.plumbing.options import parse
from ltdm.reporting.rows import read_rows
from ltdm.stages import probe, probe_split
from ltdm.training.probe import LabelledImages, Probe, ProbeOptions
from tests.helpers.stages import train_on_digits

CPU = torch.device("cpu")
GROUPING = {"kinds": ["all", "thirds", "shots"], "shots": [100, 20]}
OPTIONS = {"noise_levels": [3, 4], "layers": [1, 2], "epochs": 2, "lr": 0.01}
WHERE = {"dataset": "digits", "run": "ddpm", "seed": 0}


class Pixels:
    """A network whose first block returns the noisy pixels, and its second block zeros."""

    device = CPU

    def __init__(self):
        self.calls = []

    def decoder_features(self, number, x, level, labels):
        self.calls.append((number, labels))
        return [x.flatten(1), torch.zeros(len(x), 3)][:number]


def dots(number):
    """Images of four classes; in class c the c-th pixel is bright."""
    labels = np.arange(number) % 4
    images = np.full((number, 1, 2, 2), 60, np.uint8)
    images.reshape(number, 4)[np.arange(number), labels] = 200
    return LabelledImages.to_device(CPU, images, labels)


def toy(**changes):
    options = ProbeOptions(**{"layers": (1, 2), "lr": 0.05, "flip": False, **changes})
    return Probe(Pixels(), edm.build(edm.Options()), options, 4, (1, 2, 2))


def test_linearly_separable_classes_are_separated():
    classifiers = toy(noise_levels=(4, 18))
    classifiers.fit(dots(512))
    correct = classifiers.correct(dots(200), "test").mean(2)
    assert classifiers.sigmas == pytest.approx([0.059947, 80], abs=1e-5), (
        "the levels of the specification"
    )
    assert correct[0, 0] > 0.99
    assert correct[1, 0] < 0.5, "at sigma 80 all is noise"
    assert (correct[:, 1] == 0.25).all(), "the second block is zero"


def test_network_gets_the_null_label_and_stops_at_the_last_layer():
    classifiers = toy(layers=(1,))
    classifiers.fit(dots(40))
    classifiers.correct(dots(40), "test")
    assert {number for number, _ in classifiers.predict.calls} == {1}
    assert all((labels == -1).all() for _, labels in classifiers.predict.calls)


@pytest.mark.parametrize(
    "net",
    [
        unet.build(unet.Options(ch=8, norm_groups=4, ch_mult=(1, 2), num_res_blocks=1), 1, 8, 4),
        edm2.build(
            edm2.Options(ch=8, norm_groups=4, ch_mult=(1, 2), num_res_blocks=1, config="E"), 1, 8, 4
        ),
    ],
)
def test_blocks_after_the_last_layer_are_skipped(net):
    blocks = []
    for k, block in enumerate(net.upblocks):
        block.register_forward_hook(lambda *_, k=k: blocks.append(k + 1))
    options = ProbeOptions(layers=(2,), epochs=1)
    classifiers = Probe(
        Predictor(net.eval(), CPU, "auto"), edm.build(edm.Options()), options, 4, (1, 8, 8)
    )
    assert set(blocks) == {1, 2} < set(range(1, len(net.upblocks) + 1))
    assert not any(
        tensor.requires_grad for tensor in classifiers.features(*2 * [torch.zeros(2, 1, 8, 8)])
    )


def test_classifiers_do_not_influence_each_other():
    several, single = toy(noise_levels=(2, 5, 9)), toy(noise_levels=(5,), layers=(1,))
    for probe_ in (several, single):
        probe_.fit(dots(300))
    torch.testing.assert_close(several.weights[0][1], single.weights[0][0])
    torch.testing.assert_close(several.biases[0][1], single.biases[0][0])


def test_noise_is_fresh_per_epoch_and_fixed_in_testing():
    classifiers = toy()
    batches = [list(classifiers._batches(dots(130), epoch)) for epoch in (0, 1, 0)]
    assert [len(labels) for _, _, labels in batches[0]] == [128, 2]
    assert not torch.equal(batches[0][0][1], batches[1][0][1])
    assert torch.equal(batches[0][0][1], batches[2][0][1])
    assert (classifiers.correct(dots(50), "test") == classifiers.correct(dots(50), "test")).all()


def test_network_with_nan_output_is_refused():
    classifiers = toy(epochs=1)
    classifiers.predict.decoder_features = lambda number, x, *_: [
        x.flatten(1) * torch.nan,
        torch.zeros(len(x), 3),
    ]
    with pytest.raises(LtdmError, match="not finite"):
        classifiers.fit(dots(8))


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


@pytest.mark.parametrize(
    "wrong", [{"noise_levels": [4, 4]}, {"layers": []}, {"noise_levels": [19]}]
)
def test_wrong_levels_and_layers(wrong):
    with pytest.raises(OptionError):
        parse(ProbeOptions, wrong)


def test_mean_class_accuracy_weights_classes_equally():
    correct = np.array([[[True, True, True, False]]])
    assert probe.mean_class_accuracy(correct, np.array([0, 0, 0, 1])).tolist() == [[0.5]]
