"""The stages one after another on real digits, and their errors on bad files."""

import json
import shutil

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
from ltdm.plumbing.registry import parse_part
from ltdm.samplers._generate import SampleGenerator
from ltdm.samplers._options import SampleOptions
from ltdm.stages import extractor, features, sample, sample_sheet, train
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.methods import batch_of_step
from tests.helpers.stages import (
    NETWORK,
    PLAIN_SAMPLING,
    SPEC,
    make_request,
    network_files,
    prepare_dataset,
    train_on_digits,
)

SAMPLE = {"sampler": {"name": "ancestral", "steps": 5}, "num_images": 80, "guidance": 1.0}
CODE = {"code": "this"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A prepared data set and a trained network."""
    torch.set_num_threads(1)
    return train_on_digits(tmp_path_factory.mktemp("stages"))


def test_prepare_writes_the_training_set_and_the_reference(folder):
    images, labels, index = read_npz(folder / "train.npz", "images", "labels", "index")
    reference, classes = read_npz(folder / "reference.npz", "images", "labels")
    table = pd.read_csv(folder / "counts.csv")
    assert images.dtype == np.uint8
    assert images.shape[1:] == (1, 8, 8)
    assert reference.shape == (1797, 1, 8, 8)
    assert reference.max() == 255
    assert np.bincount(labels).tolist() == table["train"].tolist()
    assert np.bincount(classes).tolist() == table["available"].tolist()
    assert (reference[index] == images).all()
    assert (classes[index] == labels).all()


def test_the_record_of_a_training(folder):
    record = json.loads((folder / "run.json").read_text())
    assert record["spec"] == SPEC
    evaluations = {"forward": 1, "backward": 1, "encoder": 0, "decoder": 0}
    assert record["evaluations_per_image"] == evaluations
    assert record["steps"] == 6
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]
    assert len(record["data"]) == 64
    assert pd.read_csv(folder / "history.csv")["step"].tolist() == [2, 4, 6]
    assert not (folder / "state").exists(), "a finished run needs no resume state"
    assert record["where"] == ["cpu, 1 threads, fp32"]


def test_a_finished_network_is_not_trained_again_unless_the_request_changed(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    files = network_files(tmp_path)
    files["model"].write_bytes(b"kept")
    train.run(make_request(SPEC), data=folder / "train.npz", init=None, **files)
    assert files["model"].read_bytes() == b"kept"
    train.run(make_request(SPEC, 1), data=folder / "train.npz", init=None, **files)
    assert json.loads(files["record"].read_text())["seed"] == 1


def test_a_run_without_its_model_is_not_finished(folder, tmp_path):
    (tmp_path / "run.json").write_bytes((folder / "run.json").read_bytes())
    train.run(make_request(SPEC), data=folder / "train.npz", init=None, **network_files(tmp_path))
    assert (tmp_path / "model.safetensors").exists()


def test_the_same_request_gives_the_same_bytes(folder, tmp_path):
    train.run(make_request(SPEC), data=folder / "train.npz", init=None, **network_files(tmp_path))
    for file in ("model.safetensors", "history.csv"):
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()


def sample_in(folder, **changes):
    """Sample from the network of a folder; return images and labels."""
    sample_from(folder / "model.safetensors", folder / "samples.npz", **changes)
    return read_npz(folder / "samples.npz", "images", "labels")


def generator_of(folder):
    """Return the generator of the network of a folder."""
    model = Model.from_file(folder / "model.safetensors", "ema", "fp32", torch.device("cpu"))
    return SampleGenerator(model, parse(SampleOptions, SAMPLE), 0)


def test_sampled_images_do_not_depend_on_the_split(folder):
    images, labels = sample_in(folder)
    assert images.shape == (80, 1, 8, 8)
    assert np.bincount(labels).tolist() == [8] * 10
    generator, numbers = generator_of(folder), np.split(np.arange(80), [3, 8])
    parts = [generator.generate(labels[rows], rows) for rows in numbers]
    assert (np.concatenate(parts) == images).all()
    assert len(np.unique(images, axis=0)) == 80, "each image has noise of its own"


def test_sampling_uses_the_requested_weights(folder):
    assert (sample_in(folder)[0] != sample_in(folder, weights="last")[0]).any()


def test_sampling_continues_in_smaller_batches_when_memory_runs_out(folder, monkeypatch):
    expected = sample_in(folder)[0].astype(int)
    generator = generator_of(folder)
    batch, sizes = generator.generate_batch, []

    def run_out_of_memory(labels, owners, network):
        sizes.append(len(labels))
        if len(labels) > 16:
            raise torch.OutOfMemoryError
        return batch(labels, owners, network)

    monkeypatch.setattr(generator, "generate_batch", run_out_of_memory)
    images = generator.generate(np.arange(80) % 10, np.arange(80))
    assert np.abs(images - expected).max() <= 1
    assert sizes == [40, 20, 10, 10, 10, 10, 10, 10, 10, 10]


def test_stages_on_points(tmp_path):
    """Points are neither scaled nor rounded, and their sample sheet is a scatter plot."""
    source = {"name": "mixture", "points_per_class": 60}
    prepare_dataset(tmp_path, source=source, longtail={"imbalance": 0.5}, reference_split="test")
    points, labels = read_npz(tmp_path / "train.npz", "images", "labels")
    assert np.bincount(labels).tolist() == [60, 30]
    spec = {**SPEC, "network": {**NETWORK, "ch_mult": [1], "attn": []}}
    cpu = device.pick_device("cpu")
    learner = make_trainer(Recipe.from_spec(spec), 0, points, labels, cpu)
    assert batch_of_step(learner.batches, 0).x0.abs().max() > 1.5, "coordinates are not scaled"
    train.run(make_request(spec), data=tmp_path / "train.npz", init=None, **network_files(tmp_path))
    sample_from(tmp_path / "model.safetensors", tmp_path / "samples.npz")
    (samples,) = read_npz(tmp_path / "samples.npz", "images")
    assert (samples.dtype, samples.shape) == (np.float32, (80, 2, 1, 1))
    sheet = {"counts": tmp_path / "counts.csv", "picture": tmp_path / "sample_sheet.png"}
    sample_sheet.run(CODE, images=tmp_path / "samples.npz", **sheet)
    with Image.open(tmp_path / "sample_sheet.png") as image:
        assert len(image.convert("L").getcolors()) > 5
    weights = prepare_extractor(tmp_path, tmp_path / "reference.npz", name="pixels")
    files = {"images": tmp_path / "samples.npz", "features": tmp_path / "f.npz"}
    features.run(CODE, weights=weights, **files)
    assert (read_npz(tmp_path / "f.npz", "features")[0] == samples[:, :, 0, 0]).all()
    assert "probabilities" not in np.load(tmp_path / "f.npz")


def test_classifier_is_accurate_and_does_not_depend_on_the_batch(folder, tmp_path):
    spec = {"name": "classifier", "width": 8, "steps": 300}
    weights = prepare_extractor(tmp_path, folder / "reference.npz", **spec)
    tensors, metadata = read_weights(weights)
    assert metadata["accuracy"] > 0.9
    assert metadata["held_out"] == 355
    classifier = parse_part("extractor", metadata["extractor"], ())
    module, options = classifier.module, classifier.options
    extract = module.load(options, tensors, metadata, torch.device("cpu"))
    images, labels = read_npz(folder / "reference.npz", "images", "labels")
    output, parts = extract(images), [extract(images[:3]), extract(images[3:])]
    for array, *split in zip(output, *parts, strict=True):
        assert (np.concatenate(split) == array).all()
    assert output.features.var(axis=0).mean() == pytest.approx(1, rel=0.1)
    logits = output.features / tensors["scale"].numpy() @ tensors["classify.weight"].numpy().T
    expected = softmax(logits + tensors["classify.bias"].numpy(), axis=1)
    np.testing.assert_allclose(output.probabilities, expected, rtol=1e-3, atol=1e-6)
    assert (output.probabilities.argmax(axis=1) == labels).mean() > 0.9
    files = {"weights": weights, "features": tmp_path / "f.npz"}
    features.run(CODE, images=folder / "reference.npz", **files)
    stored = read_npz(tmp_path / "f.npz", *output._fields)
    for array, expected in zip(stored, output, strict=True):
        assert (array == expected).all()
    rgb = {"images": images[:9].repeat(3, axis=1), "labels": labels[:9]}
    write_npz(tmp_path / "rgb.npz", **rgb, about=np.array("{}"))
    with pytest.raises(LtdmError, match=r"rgb.npz: the classifier was trained on images of shape"):
        features.run(CODE, images=tmp_path / "rgb.npz", **files)


def test_weights_that_are_not_finite_are_an_error_and_not_black_images(folder, tmp_path):
    tensors, about = read_weights(folder / "model.safetensors")
    broken = {k: v * float("nan") for k, v in tensors.items()}
    write_weights(tmp_path / "model.safetensors", broken, about)
    with pytest.raises(LtdmError, match="values that are not finite: the network's weights"):
        sample_from(tmp_path / "model.safetensors", tmp_path / "never.npz")


def test_samples_contain_their_settings(folder):
    sample_in(folder)
    about = json.loads(str(read_npz(folder / "samples.npz", "about")[0]))
    assert about["sampler"] == "ancestral(steps=5)"
    assert (about["guidance"], about["weights"], about["seed"]) == (1.0, "ema", 0)
    assert about["model"] == json.loads((folder / "run.json").read_text())["key"]


def truncated_copy(path, source):
    """Write a truncated copy of a file; return its path."""
    path.write_bytes(source.read_bytes()[:-200])
    return path


def test_damaged_and_missing_files_are_rejected(folder, tmp_path):
    good, model, never = folder / "train.npz", folder / "model.safetensors", tmp_path / "never.npz"
    with pytest.raises(LtdmError, match=r"none\.npz is missing; run"):
        read_npz(tmp_path / "none.npz", "images")
    with pytest.raises(LtdmError, match=r"cut\.npz is damaged.* delete it"):
        read_npz(truncated_copy(tmp_path / "cut.npz", good), "images")
    with pytest.raises(LtdmError, match="has no array 'pixels'; it holds images, labels, index"):
        read_npz(good, "pixels")
    with pytest.raises(LtdmError, match="is damaged"):
        sample_from(truncated_copy(tmp_path / "cut.safetensors", model), never)
    with pytest.raises(LtdmError, match="is missing"):
        sample_from(tmp_path / "none.safetensors", never)
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(LtdmError, match="was not written by ltdm"):
        sample_from(tmp_path / "foreign.safetensors", never)


def sample_from(model, samples, **changes):
    """Sample from a network to the file `samples`."""
    record = samples.with_suffix(".json")
    request = make_request({**SAMPLE, **changes})
    sample.run(request, model=model, **PLAIN_SAMPLING, samples=samples, record=record)


def prepare_extractor(folder, reference, **spec):
    """Prepare an extractor on a reference; return the file of its weights, in the folder."""
    request = {"extractor": spec, "code": "this", "places": {}}
    files = {"weights": folder / "extractor.safetensors", "record": folder / "extractor.json"}
    extractor.run(request, reference=reference, **files)
    return files["weights"]


def test_number_of_images_must_be_a_multiple_of_the_classes(folder):
    with pytest.raises(LtdmError, match="multiple of the 10 classes"):
        sample_in(folder, num_images=81)
