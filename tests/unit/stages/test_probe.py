"""The linear probe: what the network is asked, what is learnt, and which images are for what."""

import json

import numpy as np
import pytest
import torch

from ltdm.data._held_out import held_out
from ltdm.diffusion import edm
from ltdm.networks import edm2, unet
from ltdm.networks._predictor import Predictor
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import read_npz, write_npz
from ltdm.plumbing.options import parse
from ltdm.reporting.rows import read_rows
from ltdm.stages import probe, probe_split
from ltdm.training.probe import Labelled, Probe, ProbeOptions
from tests.helpers.stages import digits

CPU = torch.device("cpu")
GROUPING = {"kinds": ["all", "thirds", "shots"], "shots": [100, 20]}
OPTIONS = {"noise_levels": [3, 4], "layers": [1, 2], "epochs": 2, "lr": 0.01}
WHERE = {"dataset": "digits", "run": "ddpm", "seed": 0}


class Pixels:
    """A network that says the pixels it sees, and at its second block nothing."""

    device = CPU

    def __init__(self):
        self.asked = []

    def taps(self, number, x, level, labels):
        self.asked.append((number, labels))
        return [x.flatten(1), torch.zeros(len(x), 3)][:number]


def dots(number):
    """Images of four classes: class c has one bright pixel, the c-th."""
    labels = np.arange(number) % 4
    images = np.full((number, 1, 2, 2), 60, np.uint8)
    images.reshape(number, 4)[np.arange(number), labels] = 200
    return Labelled.on(CPU, images, labels)


def toy(**options):
    asked = ProbeOptions(**{"layers": (1, 2), "lr": 0.05, "flip": False, **options})
    return Probe(Pixels(), edm.build(edm.Options()), asked, 4, (1, 2, 2))


def test_classes_that_a_line_tells_apart_are_told_apart():
    made = toy(noise_levels=(4, 18))
    made.fit(dots(512))
    right = made.right(dots(200), "test").mean(2)
    assert made.sigmas == pytest.approx([0.059947, 80], abs=1e-5), "the specification's levels"
    assert right[0, 0] > 0.99
    assert right[1, 0] < 0.5, "there is nothing but noise"
    assert (right[:, 1] == 0.25).all(), "nor here"


def test_the_network_is_asked_under_the_null_label_and_no_deeper_than_needed():
    made = toy(layers=(1,))
    made.fit(dots(40))
    made.right(dots(40), "test")
    assert {number for number, _ in made.predict.asked} == {1}
    assert all((labels == -1).all() for _, labels in made.predict.asked)


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
    called = []
    for k, block in enumerate(net.upblocks):
        block.register_forward_hook(lambda *_, k=k: called.append(k + 1))
    options = ProbeOptions(layers=(2,), epochs=1)
    made = Probe(
        Predictor(net.eval(), CPU, "auto"), edm.build(edm.Options()), options, 4, (1, 8, 8)
    )
    assert set(called) == {1, 2} < set(range(1, len(net.upblocks) + 1))
    assert not any(tensor.requires_grad for tensor in made.features(*2 * [torch.zeros(2, 1, 8, 8)]))


def test_a_classifier_learns_as_if_it_were_alone():
    grid, alone = toy(noise_levels=(2, 5, 9)), toy(noise_levels=(5,), layers=(1,))
    for one in (grid, alone):
        one.fit(dots(300))
    torch.testing.assert_close(grid.weights[0][1], alone.weights[0][0])
    torch.testing.assert_close(grid.biases[0][1], alone.biases[0][0])


def test_every_epoch_shows_fresh_noise_and_testing_shows_the_same():
    made = toy()
    shown = [list(made._shown(dots(130), epoch)) for epoch in (0, 1, 0)]
    assert [len(labels) for _, _, labels in shown[0]] == [128, 2]
    assert not torch.equal(shown[0][0][1], shown[1][0][1])
    assert torch.equal(shown[0][0][1], shown[2][0][1])
    assert (made.right(dots(50), "test") == made.right(dots(50), "test")).all()


def test_bad_weights_are_told():
    made = toy(epochs=1)
    made.predict.taps = lambda number, x, *_: [x.flatten(1) * torch.nan, torch.zeros(len(x), 3)]
    with pytest.raises(LtdmError, match="says what is not finite"):
        made.fit(dots(8))


def test_a_share_of_each_class_is_held_out():
    labels = np.repeat([0, 1, 2, 3], [50, 10, 3, 1])
    rows = held_out(labels, 0.2, 0)
    assert np.bincount(labels[rows], minlength=4).tolist() == [10, 2, 1, 0]
    assert (rows == held_out(labels, 0.2, 0)).all()
    assert (rows != held_out(labels, 0.2, 1)).any()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Prepared digits, each image another; a trained network; the test images."""
    torch.set_num_threads(1)
    root = digits(tmp_path_factory.mktemp("probe"))
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
        mine = cell.loc[parts]
        assert mine["n_test"].sum() == cell.loc["all", "n_test"] == 359
        mean = np.average(mine["accuracy"], weights=mine["n_test"])
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


def test_the_same_probe_gives_the_same_bytes(folder, tmp_path):
    for name in ("a", "b"):
        run(folder, tmp_path / name)
    assert (tmp_path / "a/probe.csv").read_bytes() == (tmp_path / "b/probe.csv").read_bytes()
    other = run(folder, tmp_path / "c", seed=1)
    assert (other["accuracy"] != read_rows(tmp_path / "a/probe.csv")["accuracy"]).any()
    run(folder, tmp_path / "d", weights="last")


def test_the_test_images_have_no_say_in_what_is_chosen(folder, tmp_path):
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
def test_images_are_learnt_from_or_chosen_by_or_tested_on(folder, tmp_path, monkeypatch, train_on):
    """Where an image is twice in the source, its copies are told apart by a mark."""
    marked = tmp_path / "marked"
    marked.mkdir()
    for name in ("reference.npz", "train.npz", "probe_split.npz"):
        arrays = dict(np.load(folder / name))
        rows = arrays.get("index", np.arange(len(arrays["labels"])))
        arrays["images"][:, 0, 0, :2] = np.stack([rows // 256, rows % 256], axis=1)
        write_npz(marked / name, **arrays)
    for name in ("counts.csv", "model.safetensors"):
        (marked / name).write_bytes((folder / name).read_bytes())
    seen, on = [], Labelled.on
    monkeypatch.setattr(Labelled, "on", lambda device, *of: seen.append(of[0]) or on(device, *of))
    run(marked, tmp_path, train_on=train_on)
    learnt, kept, tested = ({tuple(i[0, 0, :2]) for i in images} for images in seen)
    assert not learnt & kept
    assert not (learnt | kept) & tested
    assert len(tested) == 359
    rows = np.arange(1797)
    if train_on == "long-tailed":
        rows = np.load(folder / "train.npz")["index"]
    left = np.setdiff1d(rows, np.load(folder / "probe_split.npz")["index"])
    assert len(learnt) + len(kept) == len(left) < len(rows)


def test_a_source_s_own_test_split(folder, tmp_path):
    images, labels = read_npz(folder / "reference.npz", "images", "labels")
    own = tmp_path / "own.npz"
    np.savez(
        own,
        x_train=images[:1000],
        y_train=labels[:1000],
        x_test=images[1000:],
        y_test=labels[1000:],
    )
    source, places = {"name": "npz"}, {"path": str(own)}
    request = {"source": source, "content": "", "code": "this", "places": places}
    files = {"test": tmp_path / "probe_split.npz", "record": tmp_path / "probe_split.json"}
    probe_split.run(request, reference=folder / "reference.npz", **files)
    tested, index = read_npz(tmp_path / "probe_split.npz", "images", "index")
    assert (tested == images[1000:]).all()
    assert len(index) == 0
    assert json.loads(files["record"].read_text())["test"] == "official"
    assert set(run(folder, tmp_path, tmp_path / "probe_split.npz")["n_train"]) == {1618}
    few = labels[1000:] < 9
    np.savez(
        own, x_train=images, y_train=labels, x_test=images[1000:][few], y_test=labels[1000:][few]
    )
    with pytest.raises(LtdmError, match=r"9 classes, but .* in 10; a probe needs"):
        probe_split.run(request, reference=folder / "reference.npz", **files)


def test_a_network_for_each_class_is_not_probed(tmp_path, monkeypatch):
    several = probe.Model([], None, {"label": "network"})
    monkeypatch.setattr(probe.Model, "read", lambda *_: several)
    with pytest.raises(LtdmError, match="one network per class"):
        probe._load_probe(tmp_path / "model.safetensors", ProbeOptions())


@pytest.mark.parametrize(
    "wrong", [{"noise_levels": [4, 4]}, {"layers": []}, {"noise_levels": [19]}]
)
def test_wrong_levels_and_layers(wrong):
    with pytest.raises(OptionError):
        parse(ProbeOptions, wrong)


def test_the_mean_over_classes_counts_rare_ones_as_much():
    right = np.array([[[True, True, True, False]]])
    assert probe.mean_class_accuracy(right, np.array([0, 0, 0, 1])).tolist() == [[0.5]]
