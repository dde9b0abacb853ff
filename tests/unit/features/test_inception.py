"""The Inception network with random weights, and the files that its weights come from."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import pytorch_fid.inception
import torch

from ltdm.core.weights import write_weights
from ltdm.features import _inception, inception, random_inception
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import read_json, sha256, write_npz
from ltdm.stages import extractor, features
from tests.helpers.downloads import answer_downloads

CPU = torch.device("cpu")
EMPTY = np.zeros(0)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (8, 3, 32, 32), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights():
    return random_inception.prepare(random_inception.Options(), EMPTY, EMPTY, CPU)[0]


@pytest.fixture(scope="module")
def extract(weights):
    return random_inception.load(random_inception.Options(), weights, {}, CPU)


@pytest.fixture(scope="module")
def output(extract):
    torch.set_num_threads(1)
    return extract(IMAGES)


@pytest.fixture
def file(tmp_path, weights, monkeypatch):
    """A weight file whose SHA-256 is taken for that of the FID's weights."""
    torch.save(weights, tmp_path / "weights.pth")
    monkeypatch.setattr(inception, "SHA256", sha256(tmp_path / "weights.pth"))
    return tmp_path / "weights.pth"


@pytest.fixture
def offline(monkeypatch):
    """No network access; the requested URLs are returned."""
    return answer_downloads(monkeypatch)


def prepare(path=None):
    return inception.prepare(inception.Options(path=path and str(path)), EMPTY, EMPTY, CPU)


# The network


def test_outputs_equal_those_of_pytorch_fid(weights, output, monkeypatch):
    monkeypatch.setattr(
        pytorch_fid.inception, "load_state_dict_from_url", lambda url, progress: weights
    )
    net = pytorch_fid.inception.InceptionV3([3]).eval()
    with torch.inference_mode():
        pooled = net(torch.from_numpy(IMAGES[:3]) / 255)[0].flatten(1)
        expected = torch.softmax(pooled.double() @ weights["fc.weight"].double().T, 1)
    np.testing.assert_allclose(output.features[:3], pooled, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(output.probabilities[:3], expected, rtol=1e-5)
    assert weights["fc.bias"].std() > 0.5, "the bias is large, but not used"


def test_shapes_and_scales_of_the_outputs(output):
    assert output.features.shape == (8, _inception.feature_dim(None, 3, 32))
    assert output.probabilities.shape == (8, 1008)
    assert output.features.dtype == output.probabilities.dtype == np.float32
    np.testing.assert_allclose(output.probabilities.sum(1), 1, rtol=1e-5)
    assert 0.1 < np.sqrt(np.square(output.features).mean()) < 10, "neither vanishes nor explodes"
    assert len(np.unique(output.features.round(3), axis=0)) == 8, "different images differ"


def test_outputs_do_not_depend_on_the_batch(extract, output):
    for rows in (slice(3), slice(3, 8)):
        part = extract(IMAGES[rows])
        assert (part.features == output.features[rows]).all()
        assert (part.probabilities == output.probabilities[rows]).all()


def test_grey_images_have_three_equal_channels(extract):
    grey = IMAGES[:2, :1]
    single, repeated = extract(grey), extract(grey.repeat(3, axis=1))
    assert (single.features == repeated.features).all()


@pytest.mark.parametrize("images", [IMAGES[:, :2], IMAGES / np.float32(255), IMAGES[0]])
def test_arrays_that_are_not_uint8_images_are_rejected(extract, images):
    with pytest.raises(LtdmError, match="needs uint8 images of 1 or 3 channels, not"):
        extract(images)


def test_weights_follow_from_the_seed(weights):
    again, other = (
        random_inception.prepare(random_inception.Options(seed=seed), EMPTY, EMPTY, CPU)[0]
        for seed in (0, 1)
    )
    assert all((again[name] == tensor).all() for name, tensor in weights.items())
    assert (other["fc.weight"] != weights["fc.weight"]).all()


def test_error_without_pytorch_fid(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_fid", None)
    with pytest.raises(LtdmError, match=r"not installed \(pytorch_fid\); run `pip install pytorch"):
        prepare()


# Its weights


def test_file_with_another_hash_is_rejected(tmp_path, offline):
    other = tmp_path / "other.pth"
    other.write_bytes(b"other")
    with pytest.raises(LtdmError) as error:
        prepare(other)
    for part in (str(other), sha256(other), inception.SHA256, "fix `path`"):
        assert part in str(error.value)
    assert not offline


def test_missing_path_is_not_replaced_by_a_download(tmp_path, offline):
    with pytest.raises(OptionError, match=r"path: there is no file '.*none.pth'"):
        prepare(tmp_path / "none.pth")
    with pytest.raises(OptionError, match="path: there is no file"):
        prepare(tmp_path)
    assert not offline
    assert not list(tmp_path.iterdir())


def test_error_without_network_is_one_sentence(tmp_path, monkeypatch, offline):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LtdmError) as error:
        prepare()
    name = Path(inception.FILE).name
    url = pytorch_fid.inception.FID_WEIGHTS_URL
    for part in (f"cannot download {name}", inception.SHA256, inception.FILE, "`path`", url):
        assert part in str(error.value)
    assert offline == [url]
    assert not Path(inception.FILE).exists()


def test_download_happens_once_and_is_checked(tmp_path, monkeypatch, file, weights):
    monkeypatch.chdir(tmp_path)
    answer_downloads(monkeypatch, b"a login page", file.read_bytes())
    with pytest.raises(LtdmError, match=r"cannot download .* \(invalid hash .*; download http"):
        prepare()
    assert [f.name for f in Path("data").iterdir()] == [f".{Path(inception.FILE).name}.lock"]
    for _ in range(2):
        tensors, metadata = prepare()
        assert all((tensors[name] == tensor).all() for name, tensor in weights.items())
    assert metadata == {"sha256": inception.SHA256}
    Path(inception.FILE).write_bytes(b"cut")
    with pytest.raises(LtdmError, match="delete it to download it again"):
        prepare()


@pytest.mark.parametrize("content", [{"a": torch.zeros(1)}, [1], Path("x"), None])
def test_file_without_weights_is_rejected(tmp_path, monkeypatch, content):
    odd = tmp_path / "odd.pth"
    if content is None:
        odd.write_bytes(pickle.dumps("no file of torch's", protocol=2)[:-2])
    else:
        torch.save(content, odd)
    monkeypatch.setattr(inception, "SHA256", sha256(odd))
    with pytest.raises(LtdmError, match=r"odd.pth does not hold the FID network's weights \("):
        prepare(odd)


# In the workflow


def test_prepared_extractor_does_not_need_the_file(tmp_path, file, output):
    reference, prepared = tmp_path / "reference.npz", tmp_path / "inception.safetensors"
    labels, about = np.arange(8), np.array('{"sampler": "ddim"}')
    write_npz(reference, images=IMAGES, labels=labels, about=about)
    request = {"extractor": {"name": "inception"}, "code": "this", "places": {"path": str(file)}}
    record = tmp_path / "inception.json"
    extractor.run(request, reference=reference, weights=prepared, record=record)
    record = read_json(tmp_path / "inception.json")
    assert record["sha256"] == inception.SHA256
    assert record["extractor"] == {"name": "inception"}, "without the location of the file"
    file.unlink()
    features.run({"code": "this"}, images=reference, weights=prepared, features=tmp_path / "f.npz")
    arrays = dict(np.load(tmp_path / "f.npz"))
    assert (arrays["features"] == output.features).all()
    assert (arrays["probabilities"] == output.probabilities).all()
    assert (arrays["labels"] == labels).all()
    assert json.loads(str(arrays["about"]))["sampler"] == "ddim"


def test_stage_rejects_features_that_are_not_finite_and_bad_images(tmp_path, weights):
    broken = {**weights, "fc.weight": weights["fc.weight"] * float("nan")}
    prepared, images = tmp_path / "w.safetensors", tmp_path / "images.npz"
    write_weights(prepared, broken, {"extractor": {"name": "random-inception"}})
    write_npz(images, images=IMAGES[:1], labels=np.zeros(1, int), about=np.array("{}"))
    with pytest.raises(LtdmError, match=r"w.safetensors gives values that are not finite"):
        features.run({"code": "this"}, images=images, weights=prepared, features=tmp_path / "f.npz")
    points = np.zeros((1, 2, 1, 1), "f4")
    write_npz(images, images=points, labels=np.zeros(1, int), about=np.array("{}"))
    with pytest.raises(LtdmError, match=r"images.npz: the Inception network needs uint8"):
        features.run({"code": "this"}, images=images, weights=prepared, features=tmp_path / "f.npz")
    assert not (tmp_path / "f.npz").exists()
