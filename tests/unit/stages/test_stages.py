"""Stages in a row on real digits, and what they say of bad files."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.special import softmax

from ltdm.core import device
from ltdm.core.weights import read_weights, write_weights
from ltdm.diffusion._model import Model
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, write_npz
from ltdm.plumbing.options import parse
from ltdm.plumbing.registry import part
from ltdm.samplers._generate import SampleGenerator
from ltdm.samplers._options import SampleOptions
from ltdm.stages import extractor, features, sample, sample_sheet, train
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.methods import made_of
from tests.helpers.stages import ALONE, NETWORK, SPEC, asked, digits, outputs, prepared

SAMPLE = {"sampler": {"name": "ancestral", "steps": 5}, "num_images": 80, "guidance": 1.0}
CODE = {"code": "this"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A prepared data set and a trained network."""
    torch.set_num_threads(1)
    return digits(tmp_path_factory.mktemp("stages"))


def test_prepared_data(folder):
    images, labels, index = read_npz(folder / "train.npz", "images", "labels", "index")
    everything, classes = read_npz(folder / "reference.npz", "images", "labels")
    table = pd.read_csv(folder / "counts.csv")
    assert images.dtype == np.uint8
    assert images.shape[1:] == (1, 8, 8)
    assert everything.shape == (1797, 1, 8, 8)
    assert everything.max() == 255
    assert np.bincount(labels).tolist() == table["train"].tolist()
    assert np.bincount(classes).tolist() == table["available"].tolist()
    assert (everything[index] == images).all()
    assert (classes[index] == labels).all()


def test_training_records_what_it_did(folder):
    record = json.loads((folder / "run.json").read_text())
    assert record["spec"] == SPEC
    assert record["evaluations_per_image"] == {"forward": 1, "backward": 1, "encoder": 0}
    assert record["updates"] == 6
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]
    assert len(record["data"]) == 64
    assert pd.read_csv(folder / "history.csv")["update"].tolist() == [2, 4, 6]
    assert not (folder / "state").exists(), "a finished run needs no resume state"
    assert record["where"] == ["cpu, 1 threads, fp32"]


def test_a_finished_network_is_left_alone_and_another_s_is_made_anew(folder, tmp_path):
    files = outputs(tmp_path)
    for name, file in outputs(folder).items():
        files[name].write_bytes(file.read_bytes())
    files["model"].write_bytes(b"kept")
    train.run(asked(SPEC), data=folder / "train.npz", init=None, **files)
    assert files["model"].read_bytes() == b"kept"
    train.run(asked(SPEC, 1), data=folder / "train.npz", init=None, **files)
    assert json.loads(files["record"].read_text())["seed"] == 1


def test_a_run_without_its_model_is_not_finished(folder, tmp_path):
    (tmp_path / "run.json").write_bytes((folder / "run.json").read_bytes())
    train.run(asked(SPEC), data=folder / "train.npz", init=None, **outputs(tmp_path))
    assert (tmp_path / "model.safetensors").exists()


def test_same_run_same_bytes(folder, tmp_path):
    train.run(asked(SPEC), data=folder / "train.npz", init=None, **outputs(tmp_path))
    for file in ("model.safetensors", "history.csv"):
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()


def make(folder, **changes):
    path = folder / "samples.npz"
    make_from(folder / "model.safetensors", path, **changes)
    return read_npz(path, "images", "labels")


def sampling(folder):
    model = Model.read(folder / "model.safetensors", "ema", "fp32", torch.device("cpu"))
    return SampleGenerator(model, parse(SampleOptions, SAMPLE), 0)


def test_sampling_three_and_five_equals_eight(folder):
    images, labels = make(folder)
    assert images.shape == (80, 1, 8, 8)
    assert np.bincount(labels).tolist() == [8] * 10
    split, numbers = sampling(folder), np.split(np.arange(80), [3, 8])
    parts = [split.images(labels[some], some) for some in numbers]
    assert (np.concatenate(parts) == images).all()
    assert len(np.unique(images, axis=0)) == 80, "each image has noise of its own"


def test_sampling_uses_the_weights_asked_for(folder):
    assert (make(folder)[0] != make(folder, weights="last")[0]).any()


def test_sampling_goes_on_in_smaller_batches_when_memory_runs_out(folder, monkeypatch):
    whole = make(folder)[0]
    small = sampling(folder)
    plain, sizes = small.batch, []

    def full(labels, owners, network):
        sizes.append(len(labels))
        if len(labels) > 16:
            raise torch.OutOfMemoryError
        return plain(labels, owners, network)

    monkeypatch.setattr(small, "batch", full)
    assert np.abs(small.images(np.arange(80) % 10, np.arange(80)).astype(int) - whole).max() <= 1
    assert sizes == [40, 20, 10, 10, 10, 10, 10, 10, 10, 10]


def test_points_go_the_way_of_images(tmp_path):
    """Points are neither scaled nor rounded; their picture is a scatter plot."""
    source = {"name": "mixture", "points_per_class": 60}
    prepared(tmp_path, source=source, longtail={"imbalance": 0.5}, reference_split="test")
    points, labels = read_npz(tmp_path / "train.npz", "images", "labels")
    assert np.bincount(labels).tolist() == [60, 30]
    network = {**NETWORK, "ch_mult": [1], "attn": []}
    learner = make_trainer(
        Recipe.of({**SPEC, "network": network}), 0, points, labels, device.pick("cpu")
    )
    assert made_of(learner.batches, 0).x0.abs().max() > 1.5, "coordinates as they are"
    request = asked({**SPEC, "network": network})
    train.run(request, data=tmp_path / "train.npz", init=None, **outputs(tmp_path))
    make_from(tmp_path / "model.safetensors", tmp_path / "samples.npz")
    (made,) = read_npz(tmp_path / "samples.npz", "images")
    assert (made.dtype, made.shape) == (np.float32, (80, 2, 1, 1))
    sample_sheet.run(CODE, samples=tmp_path / "samples.npz", picture=tmp_path / "sample_sheet.png")
    with Image.open(tmp_path / "sample_sheet.png") as image:
        assert len(image.convert("L").getcolors()) > 5
    weights = fitted(tmp_path / "p.safetensors", tmp_path / "reference.npz", name="pixels")
    found = {"images": tmp_path / "samples.npz", "features": tmp_path / "f.npz"}
    features.run(CODE, weights=weights, **found)
    assert (read_npz(tmp_path / "f.npz", "features")[0] == made[:, :, 0, 0]).all()
    assert "probabilities" not in np.load(tmp_path / "f.npz")


def test_classifier_knows_digits_and_batches_do_not_matter(folder, tmp_path):
    spec = {"name": "classifier", "width": 8, "steps": 300}
    weights = fitted(tmp_path / "classifier.safetensors", folder / "reference.npz", **spec)
    tensors, about = read_weights(weights)
    assert about["accuracy"] > 0.9
    assert about["held_out"] == 355
    module = part("extractor", about["extractor"], ()).module
    options = part("extractor", about["extractor"], ()).options
    extract = module.build(options, tensors, about, torch.device("cpu"))
    images, labels = read_npz(folder / "reference.npz", "images", "labels")
    whole, parts = extract(images), [extract(images[:3]), extract(images[3:])]
    for found, *split in zip(whole, *parts, strict=True):
        assert (np.concatenate(split) == found).all()
    assert whole.features.var(axis=0).mean() == pytest.approx(1, rel=0.1)
    logits = whole.features / tensors["scale"].numpy() @ tensors["classify.weight"].numpy().T
    expected = softmax(logits + tensors["classify.bias"].numpy(), axis=1)
    np.testing.assert_allclose(whole.probabilities, expected, rtol=1e-3, atol=1e-6)
    assert (whole.probabilities.argmax(axis=1) == labels).mean() > 0.9
    features.run(
        CODE, images=folder / "reference.npz", weights=weights, features=tmp_path / "f.npz"
    )
    for written, given in zip(read_npz(tmp_path / "f.npz", *whole._fields), whole, strict=True):
        assert (written == given).all()
    write_npz(tmp_path / "rgb.npz", images=images[:9].repeat(3, axis=1), labels=labels[:9],
              about=np.array("{}"))  # fmt: skip
    with pytest.raises(LtdmError, match=r"rgb.npz: the classifier was trained on images of shape"):
        features.run(
            CODE, images=tmp_path / "rgb.npz", weights=weights, features=tmp_path / "f.npz"
        )


def test_bad_weights_do_not_become_black_images(folder, tmp_path):
    tensors, about = read_weights(folder / "model.safetensors")
    broken = {k: v * float("nan") for k, v in tensors.items()}
    write_weights(tmp_path / "model.safetensors", broken, about)
    with pytest.raises(LtdmError, match="values that are not finite: the network's weights"):
        make_from(tmp_path / "model.safetensors", tmp_path / "never.npz")


def test_samples_say_how_they_were_made(folder):
    make(folder)
    about = json.loads(str(read_npz(folder / "samples.npz", "about")[0]))
    assert about["sampler"] == "ancestral(steps=5)"
    assert (about["guidance"], about["weights"], about["seed"]) == (1.0, "ema", 0)
    assert about["model"] == json.loads((folder / "run.json").read_text())["key"]


def damaged(path, source):
    path.write_bytes(source.read_bytes()[:-200])
    return path


def test_damaged_and_missing_files(folder, tmp_path):
    good, never = folder / "train.npz", tmp_path / "never.npz"
    with pytest.raises(LtdmError, match=r"none\.npz is missing; run"):
        read_npz(tmp_path / "none.npz", "images")
    with pytest.raises(LtdmError, match=r"cut\.npz is damaged .* delete it"):
        read_npz(damaged(tmp_path / "cut.npz", good), "images")
    with pytest.raises(LtdmError, match="has no array 'pixels'; it holds images, labels, index"):
        read_npz(good, "pixels")
    with pytest.raises(LtdmError, match="is damaged"):
        make_from(damaged(tmp_path / "cut.safetensors", folder / "model.safetensors"), never)
    with pytest.raises(LtdmError, match="is missing"):
        make_from(tmp_path / "none.safetensors", never)
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(LtdmError, match="was not written by ltdm"):
        make_from(tmp_path / "foreign.safetensors", never)


def make_from(model, samples, **changes):
    record = samples.with_suffix(".json")
    request = asked({**SAMPLE, **changes})
    sample.run(request, model=model, **ALONE, samples=samples, record=record)


def fitted(weights, reference, **spec):
    request = {"extractor": spec, "code": "this", "places": {}}
    extractor.run(
        request, reference=reference, weights=weights, record=weights.with_suffix(".json")
    )
    return weights


def test_number_of_images_must_suit_the_classes(folder):
    with pytest.raises(LtdmError, match="multiple of the 10 classes"):
        make(folder, num_images=81)
