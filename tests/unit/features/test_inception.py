"""The Inception network, with random weights in place of the FID's, and how it gets its weights."""

import io
import json
import pickle
import sys
from http.client import HTTPMessage
from pathlib import Path
from urllib.error import URLError
from urllib.response import addinfourl

import numpy as np
import pytest
import pytorch_fid.inception
import torch
import yaml

from ltdm.config.experiment import Experiment
from ltdm.core.weights import write_weights
from ltdm.features import _inception, inception, random_inception
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import read_json, sha256, write_npz
from ltdm.stages import extractor, features

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")
NONE = np.zeros(0)
STREAM = np.random.default_rng(0)
IMAGES = STREAM.integers(0, 256, (8, 3, 32, 32), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights():
    return random_inception.fit(random_inception.Options(), NONE, NONE, CPU)[0]


@pytest.fixture(scope="module")
def extract(weights):
    return random_inception.build(random_inception.Options(), weights, {}, CPU)


@pytest.fixture(scope="module")
def made(extract):
    torch.set_num_threads(1)
    return extract(IMAGES)


@pytest.fixture
def file(tmp_path, weights, monkeypatch):
    """A file of weights that counts as the FID's."""
    torch.save(weights, tmp_path / "weights.pth")
    monkeypatch.setattr(inception, "SHA256", sha256(tmp_path / "weights.pth"))
    return tmp_path / "weights.pth"


@pytest.fixture
def offline(monkeypatch):
    """No network; whoever tries it anyway is counted."""
    tried = []

    def fail(request):
        tried.append(request.full_url)
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "urlopen", fail)
    return tried


def fit(path=None):
    return inception.fit(inception.Options(path=path and str(path)), NONE, NONE, CPU)


# The network


def test_it_is_pytorch_fid_s(weights, made, monkeypatch):
    monkeypatch.setattr(
        pytorch_fid.inception, "load_state_dict_from_url", lambda url, progress: weights
    )
    net = pytorch_fid.inception.InceptionV3([3]).eval()
    with torch.inference_mode():
        pooled = net(torch.from_numpy(IMAGES[:3]) / 255)[0].flatten(1)
        told = torch.softmax(pooled.double() @ weights["fc.weight"].double().T, 1)
    np.testing.assert_allclose(made.features[:3], pooled, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made.probabilities[:3], told, rtol=1e-5)
    assert weights["fc.bias"].std() > 0.5, "which is left out"


def test_what_it_gives(made):
    assert made.features.shape == (8, _inception.length(None, 3, 32))
    assert made.probabilities.shape == (8, 1008)
    assert made.features.dtype == made.probabilities.dtype == np.float32
    np.testing.assert_allclose(made.probabilities.sum(1), 1, rtol=1e-5)
    assert 0.1 < np.sqrt(np.square(made.features).mean()) < 10, "neither vanishes nor explodes"
    assert len(np.unique(made.features.round(3), axis=0)) == 8, "different images differ"


def test_three_and_five_equals_eight(extract, made):
    for rows in (slice(3), slice(3, 8)):
        part = extract(IMAGES[rows])
        assert (part.features == made.features[rows]).all()
        assert (part.probabilities == made.probabilities[rows]).all()


def test_grey_images_have_three_equal_channels(extract):
    grey = IMAGES[:2, :1]
    found, repeated = extract(grey), extract(grey.repeat(3, axis=1))
    assert (found.features == repeated.features).all()


@pytest.mark.parametrize("images", [IMAGES[:, :2], IMAGES / np.float32(255), IMAGES[0]])
def test_what_is_no_image(extract, images):
    with pytest.raises(LtdmError, match="reads uint8 images of 1 or 3 channels, not"):
        extract(images)


def test_seeds_differ_and_repeat(weights):
    again, other = (
        random_inception.fit(random_inception.Options(seed=seed), NONE, NONE, CPU)[0]
        for seed in (0, 1)
    )
    assert all((again[name] == tensor).all() for name, tensor in weights.items())
    assert (other["fc.weight"] != weights["fc.weight"]).all()


def test_without_pytorch_fid(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_fid", None)
    with pytest.raises(LtdmError, match=r"not installed \(pytorch_fid\); run `pip install pytorch"):
        fit()


# Its weights


def test_another_file_is_refused(tmp_path, offline):
    other = tmp_path / "other.pth"
    other.write_bytes(b"other")
    with pytest.raises(LtdmError) as error:
        fit(other)
    for said in (str(other), sha256(other), inception.SHA256, "fix `path`"):
        assert said in str(error.value)
    assert not offline


def test_a_path_given_is_never_replaced_by_a_download(tmp_path, offline):
    with pytest.raises(OptionError, match=r"path: there is no file '.*none.pth'"):
        fit(tmp_path / "none.pth")
    with pytest.raises(OptionError, match="path: there is no file"):
        fit(tmp_path)
    assert not offline
    assert not list(tmp_path.iterdir())


def test_offline_is_one_sentence(tmp_path, monkeypatch, offline):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LtdmError) as error:
        fit()
    name = Path(inception.FILE).name
    url = pytorch_fid.inception.FID_WEIGHTS_URL
    for said in (f"cannot download {name}", inception.SHA256, inception.FILE, "`path`", url):
        assert said in str(error.value)
    assert offline == [url]
    assert not Path(inception.FILE).exists()


def test_a_download_happens_once_and_is_checked(tmp_path, monkeypatch, file, weights):
    monkeypatch.chdir(tmp_path)
    answers = [b"a login page", file.read_bytes()]

    def answer(request):
        return addinfourl(io.BytesIO(answers.pop(0)), HTTPMessage(), request.full_url)

    monkeypatch.setattr(torch.hub, "urlopen", answer)
    with pytest.raises(LtdmError, match=r"cannot download .* \(invalid hash .*; download http"):
        fit()
    assert [f.name for f in Path("data").iterdir()] == [".inception.lock"]
    for _ in range(2):
        tensors, about = fit()
        assert all((tensors[name] == tensor).all() for name, tensor in weights.items())
    assert about == {"sha256": inception.SHA256}
    Path(inception.FILE).write_bytes(b"cut")
    with pytest.raises(LtdmError, match="delete it to have it downloaded anew"):
        fit()


@pytest.mark.parametrize("content", [{"a": torch.zeros(1)}, [1], Path("x"), None])
def test_what_holds_no_weights(tmp_path, monkeypatch, content):
    odd = tmp_path / "odd.pth"
    if content is None:
        odd.write_bytes(pickle.dumps("no file of torch's", protocol=2)[:-2])
    else:
        torch.save(content, odd)
    monkeypatch.setattr(inception, "SHA256", sha256(odd))
    with pytest.raises(LtdmError, match=r"odd.pth does not hold the FID network's weights \("):
        fit(odd)


# In the workflow


def test_once_made_ready_the_file_is_not_needed(tmp_path, file, made):
    reference, prepared = tmp_path / "reference.npz", tmp_path / "inception.safetensors"
    labels, about = np.arange(8), np.array('{"sampler": "ddim"}')
    write_npz(reference, images=IMAGES, labels=labels, about=about)
    request = {"extractor": {"name": "inception"}, "code": "this", "places": {"path": str(file)}}
    record = tmp_path / "inception.json"
    extractor.run(request, reference=reference, weights=prepared, record=record)
    record = read_json(tmp_path / "inception.json")
    assert record["sha256"] == inception.SHA256
    assert record["extractor"] == {"name": "inception"}, "wherever the file lay"
    file.unlink()
    features.run({"code": "this"}, images=reference, weights=prepared, features=tmp_path / "f.npz")
    found = dict(np.load(tmp_path / "f.npz"))
    assert (found["features"] == made.features).all()
    assert (found["probabilities"] == made.probabilities).all()
    assert (found["labels"] == labels).all()
    assert json.loads(str(found["about"]))["sampler"] == "ddim"


def test_what_is_not_finite_and_not_an_image(tmp_path, weights):
    broken = {**weights, "fc.weight": weights["fc.weight"] * float("nan")}
    prepared, images = tmp_path / "w.safetensors", tmp_path / "images.npz"
    write_weights(prepared, broken, {"extractor": {"name": "random-inception"}})
    write_npz(images, images=IMAGES[:1], labels=np.zeros(1, int), about=np.array("{}"))
    with pytest.raises(LtdmError, match=r"w.safetensors gives values that are not finite"):
        features.run({"code": "this"}, images=images, weights=prepared, features=tmp_path / "f.npz")
    write_npz(images, images=np.zeros((1, 2, 1, 1), "f4"), labels=np.zeros(1), about=np.array(""))
    with pytest.raises(LtdmError, match=r"images.npz: the Inception network reads uint8"):
        features.run({"code": "this"}, images=images, weights=prepared, features=tmp_path / "f.npz")
    assert not (tmp_path / "f.npz").exists()


def smoke(**evaluate):
    config = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    config["evaluate"] |= {"table_columns": ["frechet"], **evaluate}
    return config


def test_a_path_is_looked_at_before_anything_runs_unless_it_is_not_needed(tmp_path):
    config = smoke(extractors=["pixels", {"name": "inception", "path": str(tmp_path / "none.pth")}])
    with pytest.raises(OptionError, match=r"evaluate.extractors.1.path: there is no file"):
        Experiment(config, tmp_path)
    prepared = tmp_path / "smoke/data/digits-lt/extractors/inception.safetensors"
    prepared.parent.mkdir(parents=True)
    prepared.touch()
    part = Experiment(config, tmp_path).evaluate.extractors[1]
    assert part.to_config() == {"name": "inception"}
    Experiment(smoke(extractors=["inception", "random-inception"]), tmp_path / "elsewhere")


def test_points_are_no_images():
    config = smoke(extractors=["inception"])
    network = {"ch_mult": [1], "attn": []}
    config["datasets"]["digits-lt"] = {"source": "mixture", "network": network}
    with pytest.raises(OptionError, match="inception reads images, and digits-lt holds points"):
        Experiment(config)
