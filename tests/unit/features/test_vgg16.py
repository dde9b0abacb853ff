"""VGG16 with random weights against torchvision and torch-fidelity, and the file of its weights."""

import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import nn
from torch_fidelity import feature_extractor_vgg16 as fidelity
from torchvision.models import VGG16_Weights
from torchvision.transforms import v2

from ltdm.core.weights import read_weights
from ltdm.features import _vgg, random_vgg16, vgg16
from ltdm.features._base import ExtractorOutput
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import read_json, sha256, write_npz
from ltdm.plumbing.registry import parse_part
from ltdm.stages import extractor, features
from tests.helpers.downloads import answer_downloads

CPU = torch.device("cpu")
EMPTY = np.zeros(0)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights():
    return random_vgg16.prepare(random_vgg16.Options(), EMPTY, EMPTY, CPU)[0]


@pytest.fixture(scope="module")
def extract(weights):
    torch.set_num_threads(1)
    return random_vgg16.load(random_vgg16.Options(), weights, {}, CPU)


@pytest.fixture(scope="module")
def output(extract):
    return extract(IMAGES)


# The network


def test_features_are_those_of_torchvision_after_the_second_relu(weights, output):
    net = _vgg.empty_network()
    net.load_state_dict(weights, assign=True)
    hidden = []
    net.classifier[3].register_forward_hook(lambda layer, x, y: hidden.append(y.clone()))
    preprocess = v2.Compose(
        [
            v2.ToDtype(torch.float32, scale=True),
            v2.Resize((224, 224), antialias=False),
            v2.Normalize(VGG16_Weights.IMAGENET1K_V1.transforms().mean, [0.229, 0.224, 0.225]),
        ]
    )
    with torch.inference_mode():
        net(preprocess(torch.from_numpy(IMAGES[:1])))
    (fc2,) = hidden
    assert (fc2 < 0).any()
    np.testing.assert_allclose(output.features[:1], fc2.clamp(min=0), rtol=1e-4, atol=1e-4)


def test_features_are_those_of_torch_fidelity_for_images_of_the_network_s_size(weights, extract):
    images = np.random.default_rng(1).integers(0, 256, (1, 3, 224, 224), dtype=np.uint8)
    net = _vgg.empty_network()
    net.load_state_dict(weights, assign=True)
    with patch.object(fidelity, "torchvision_load_pretrained_vgg16", lambda: net):
        oracle = fidelity.FeatureExtractorVGG16("vgg16", ["fc2_relu"])
    with torch.inference_mode():
        (expected,) = oracle(torch.from_numpy(images))
    np.testing.assert_allclose(extract(images).features, expected, rtol=1e-4, atol=1e-4)


def test_shapes_and_scales_of_the_features(output):
    assert output.features.shape == (3, _vgg.feature_dim(None, 3, 32)) == (3, 4096)
    assert output.features.dtype == np.float32
    assert output.probabilities is None
    assert 0.1 < np.sqrt(np.square(output.features).mean()) < 10, "neither vanishes nor explodes"
    assert len(np.unique(output.features.round(3), axis=0)) == 3, "different images differ"


def test_features_do_not_depend_on_the_batch(extract, output):
    five = extract(IMAGES[[2, 1, 0, 2, 1]]).features  # two blocks
    assert (five == output.features[[2, 1, 0, 2, 1]]).all()


@pytest.mark.parametrize("images", [IMAGES[:, :2], IMAGES / np.float32(255), IMAGES[0]])
def test_arrays_that_are_not_uint8_images_are_rejected(extract, images):
    with pytest.raises(LtdmError, match="VGG16 network needs uint8 images of 1 or 3 channels, not"):
        extract(images)


# Its weights, of a smaller network


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The state dict of a small network in VGG16's place, and its file; data/ is in `tmp_path`."""

    def empty():
        with torch.device("meta"):
            return nn.Linear(3, 2)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_vgg, "empty_network", empty)
    torch.save(state := nn.Linear(3, 2).state_dict(), tmp_path / "own.pth")
    return state, tmp_path / "own.pth"


def prepare(**options):
    options = parse_part("extractor", {"name": "vgg16", **options}, ()).options
    return vgg16.prepare(options, EMPTY, EMPTY, CPU)


def test_random_weights_follow_from_the_seed(small):
    first, again, other = (
        random_vgg16.prepare(random_vgg16.Options(seed=seed), EMPTY, EMPTY, CPU)[0]
        for seed in (0, 0, 1)
    )
    assert (first["weight"] == again["weight"]).all()
    assert (first["weight"] != other["weight"]).all()
    assert (first["bias"] == 0).all()


def test_url_and_hash_are_those_of_torchvision():
    assert VGG16_Weights.IMAGENET1K_V1.url == vgg16.URL
    assert Path(vgg16.URL).stem == Path(vgg16.FILE).stem == f"vgg16-{vgg16.SHA256}"


def test_a_file_of_one_s_own_is_used_by_its_hash(small, monkeypatch):
    (state, file), urls = small, answer_downloads(monkeypatch)
    tensors, metadata = prepare(path=str(file), sha256=sha256(file))
    assert all((tensors[name] == tensor).all() for name, tensor in state.items())
    assert metadata == {"sha256": sha256(file)}
    other = "0" * 64
    with pytest.raises(LtdmError) as error:
        prepare(path=str(file), sha256=other)
    for part in (str(file), sha256(file), other, "fix `path` and `sha256`"):
        assert part in str(error.value)
    with pytest.raises(OptionError, match=r"path: there is no file 'none.pth'"):
        prepare(path="none.pth", sha256=other)
    assert not urls, "a file of one's own is never replaced by a download"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"path": "own.pth"},
            "sha256: is missing, and `path` needs it; set it to",
        ),
        ({"sha256": "397923af"}, "sha256: must be 64 digits 0-9 and a-f, not '397923af'; set it"),
        ({"sha256": "A" * 64}, "sha256: must be 64 digits 0-9 and a-f"),
        ({"sha256": 397923}, "sha256: must be text"),
    ],
)
def test_a_file_needs_a_whole_hash(options, message):
    with pytest.raises(OptionError, match=message):
        prepare(**options)


def test_a_file_of_another_network_is_rejected(small, tmp_path):
    other = {f"other.{name}": tensor for name, tensor in small[0].items()}
    torch.save(other, tmp_path / "odd.pth")
    with pytest.raises(LtdmError, match=r"odd.pth does not hold VGG16's weights \(RuntimeError\)"):
        prepare(path=str(tmp_path / "odd.pth"), sha256=sha256(tmp_path / "odd.pth"))


def test_download_happens_once_and_its_hash_begins_as_published(small, monkeypatch):
    state, file = small
    monkeypatch.setattr(vgg16, "SHA256", sha256(file)[:8])
    urls = answer_downloads(monkeypatch, b"a login page", file.read_bytes())
    with pytest.raises(LtdmError, match=r"cannot download vgg16.* \(invalid hash .*; download"):
        prepare()
    for _ in range(2):
        tensors, metadata = prepare()
    assert all((tensors[name] == tensor).all() for name, tensor in state.items())
    assert metadata == {"sha256": sha256(file)}, "the whole of it"
    assert urls == [vgg16.URL] * 2
    assert prepare(sha256=sha256(file))[1] == metadata
    Path(vgg16.FILE).write_bytes(b"cut")
    message = rf"not {vgg16.SHA256}\.\.\. of VGG16's weights; delete it to download it again"
    with pytest.raises(LtdmError, match=message):
        prepare()


def test_error_without_network_is_one_sentence(small, monkeypatch):
    urls = answer_downloads(monkeypatch)
    with pytest.raises(LtdmError) as error:
        prepare()
    for part in ("cannot download vgg16-397923af.pth", "397923af...", vgg16.FILE, vgg16.URL):
        assert part in str(error.value)
    assert "or elsewhere and set `path` and `sha256`" in str(error.value)
    assert urls == [vgg16.URL]
    assert not Path(vgg16.FILE).exists()


# In the workflow


def test_records_and_features_hold_the_hash_of_the_file(small, monkeypatch):
    file = small[1]
    reference, prepared = Path("reference.npz"), Path("vgg16.safetensors")
    write_npz(reference, images=IMAGES, labels=np.arange(3), about=np.array("{}"))
    digest = sha256(file)
    request = {"extractor": {"name": "vgg16", "sha256": digest}, "code": "this"}
    request["places"] = {"path": str(file)}
    extractor.run(request, reference=reference, weights=prepared, record=Path("vgg16.json"))
    record = read_json(Path("vgg16.json"))
    assert record["sha256"] == read_weights(prepared)[1]["sha256"] == digest
    file.unlink()
    output = ExtractorOutput(np.zeros((3, 4), np.float32))
    monkeypatch.setattr(vgg16, "load", lambda *_: lambda images: output)
    features.run({"code": "this"}, images=reference, weights=prepared, features=Path("f.npz"))
    about = json.loads(str(np.load("f.npz")["about"]))
    assert about["weight_file"] == digest
    assert about["extractor"]["weights"] == sha256(prepared)
