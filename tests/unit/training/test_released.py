"""Released checkpoints: read exactly, or refused in one sentence."""

import math
import os

import numpy as np
import pytest
import torch

from ltdm.core.weights import read_weights
from ltdm.diffusion._model import Model
from ltdm.networks import unet
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz
from ltdm.plumbing.options import parse
from ltdm.plumbing.registry import parse_part
from ltdm.samplers._generate import SampleGenerator
from ltdm.samplers._options import SampleOptions
from ltdm.stages import sample
from ltdm.training import released
from tests.helpers.released import (
    NETWORK,
    OPTIONS,
    checkpoint,
    network,
    predict_every_label,
    released_state_dict,
)
from tests.helpers.stages import PLAIN_SAMPLING, make_request
from tests.unit.cli.test_cli import ltdm

__all__ = ["checkpoint"]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"prefix": "module."},
        {"legacy": True},
        {"classes": 0},
        {"augment_dim": 9},
        {"classes": 3, "augment_dim": 9, "prefix": "module.", "legacy": True},
    ],
)
def test_the_imported_network_has_the_same_outputs_to_the_bit(checkpoint, tmp_path, form):
    path, raw, ema = checkpoint(**form)
    classes, augment_dim = form.get("classes", 10), form.get("augment_dim", 0)
    printed = ltdm("import", path, tmp_path / "m.safetensors", "--resolution", 8)
    assert "200000 training steps" in printed and "Left out: sched, optim, fixed_x_T." in printed
    for name, original in (("last", raw), ("ema", ema)):
        tensors, about = read_weights(tmp_path / "m.safetensors", f"{name}.")
        options = parse_part("network", about["network"], ()).options
        assert options == OPTIONS
        assert about["augment_dim"] == augment_dim
        assert about["label"] == ("input" if classes else "nothing")
        assert (about["channels"], about["size"], about["classes"]) == (1, 8, classes or 1)
        net = unet.build(options, 1, 8, classes, augment_dim).eval()
        net.load_state_dict(tensors)
        expected = predict_every_label(original, classes, augment_dim)
        assert torch.equal(predict_every_label(net, classes, augment_dim), expected)
    last, averaged = (predict_every_label(net, classes, augment_dim) for net in (raw, ema))
    assert not torch.equal(last, averaged)


def test_images_are_those_of_the_original_network(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("LTDM_DEVICE", "cpu")
    path, raw, ema = checkpoint(levels=50)
    model = tmp_path / "m.safetensors"
    assert "process: {name: vp, T: 50}" in ltdm("import", path, model, "--resolution", 8)
    for weights, original in (("last", raw), ("ema", ema)):
        sampler = {"name": "ddim", "steps": 4}
        spec = {"num_images": 20, "guidance": 0.5, "weights": weights, "sampler": sampler}
        samples = tmp_path / f"{weights}.npz"
        record = tmp_path / "samples.json"
        sample.run(
            make_request(spec, 3), model=model, **PLAIN_SAMPLING, samples=samples, record=record
        )
        about = {
            "network": NETWORK,
            "process": {"name": "vp", "T": 50},
            "channels": 1,
            "size": 8,
            "classes": 10,
            "augment_dim": 0,
            "points": False,
            "label": "input",
        }
        model_of_original = Model.from_tensors(
            original.state_dict(), about, "fp32", torch.device("cpu")
        )
        generator = SampleGenerator(model_of_original, parse(SampleOptions, spec), 3)
        images, labels = read_npz(samples, "images", "labels")
        assert np.array_equal(images, generator.generate(labels, np.arange(len(labels))))
    ltdm("import", path, tmp_path / "other.safetensors", "--resolution", 8)
    assert (tmp_path / "other.safetensors").read_bytes() == model.read_bytes()


@pytest.mark.parametrize(
    ("classes", "augment_dim", "entries"), [(0, 0, 329), (10, 0, 330), (10, 9, 331)]
)
def test_paper_size(classes, augment_dim, entries):
    """The state dict has as many tensors as the released network's, and its shape is inferred."""
    with torch.device("meta"):
        state = released_state_dict(unet.UNet(unet.Options(), 3, classes, augment_dim))
    assert len(state) == entries
    shape = released._infer_shape("a file", {name: tuple(t.shape) for name, t in state.items()})
    assert shape == (unet.Options(), 3, classes, augment_dim, 1000)


def test_other_shapes_are_inferred_from_the_weights(tmp_path):
    for options in (
        unet.Options(ch=64, ch_mult=(1,), attn=(), num_res_blocks=1),
        unet.Options(ch=32, ch_mult=(1, 1, 3), attn=(0, 2), num_res_blocks=3),
    ):
        net = network(0, classes=4, options=options, channels=3)
        torch.save({"ema_model": released_state_dict(net, levels=10)}, tmp_path / "c.pt")
        checkpoint = released.read_checkpoint(tmp_path / "c.pt")
        assert checkpoint.shape == (options, 3, 4, 0, 10)
        assert (checkpoint.steps, checkpoint.unread_keys) == (0, [])


def test_one_set_of_weights_never_replaces_the_other(tmp_path):
    state = released_state_dict(network(0))
    for content, weight_sets in (
        ({"ema_model": state}, ["ema"]),
        ({"net_model": state, "step": 3}, ["last"]),
        (state, ["last"]),
        ({"global_model": state, "global_ema_model": state}, ["last", "ema"]),
    ):
        torch.save(content, tmp_path / "c.pt")
        assert list(released.read_checkpoint(tmp_path / "c.pt").weights) == weight_sets
    assert "sample: {weights: last}" in import_bare(tmp_path, state)


def import_bare(folder, state):
    torch.save(state, folder / "bare.pt")
    return ltdm("import", folder / "bare.pt", folder / "bare.safetensors", "--resolution", 8)


class Code:
    """Runs code when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def without(name):
    return lambda state: {k: v for k, v in state.items() if k != name}


def with_(**tensors):
    return lambda state: {**state, **{k.replace("__", "."): v for k, v in tensors.items()}}


def other_table(state):
    table = state["time_embedding.timembedding.0.weight"]
    sines_first = torch.cat([table[:, 0::2], table[:, 1::2]], dim=1)  # then all cosines
    return {**state, "time_embedding.timembedding.0.weight": sines_first}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("upblocks.1.shortcut.bias"), "upblocks.1.shortcut.bias is missing"),
        (without("head.weight"), "is an unknown network, of time_embedding"),
        (without("time_embedding.timembedding.0.weight"), "is an unknown network"),
        (with_(tail__2__bias=torch.zeros(7)), r"tail.2.bias is \(7,\), not \(1,\)"),
        (with_(extra=torch.zeros(7), more=torch.zeros(1)), "extra is not known, more is not known"),
        (with_(downblocks__0__cemb_proj__1__bias=torch.zeros(7)), "IET-AGC's variant of the U-Net"),
        (lambda state: {"input_blocks.0.0.weight": torch.zeros(3)}, "U-Net of guided-diffusion"),
        (lambda state: {"w": torch.zeros(3)}, "is an unknown network, of w; ltdm reads"),
        (other_table, "different time embedding"),
    ],
)
def test_another_network_is_refused(tmp_path, change, message):
    torch.save({"ema_model": change(released_state_dict(network(0)))}, tmp_path / "c.pt")
    with pytest.raises(LtdmError, match=f"c.pt: ema_model .*{message}"):
        released.read_checkpoint(tmp_path / "c.pt")


def test_files_that_are_no_checkpoint_are_refused(tmp_path, checkpoint):
    def refused(path, message):
        printed = ltdm("import", path, tmp_path / "m.safetensors", "--resolution", 8, code=1)
        assert printed.startswith("ltdm: ") and printed.count("\n") == 1
        assert str(path) in printed and message in printed

    path, *_ = checkpoint()
    state, file = released_state_dict(network(0)), tmp_path / "c.pt"
    other = released_state_dict(network(0, classes=3))
    refused(tmp_path / "none.pt", "is missing; fix the path")
    refused(tmp_path, "cannot read")
    for legacy in (False, True):
        bad = {"net_model": state, "code": Code(tmp_path / "made")}
        torch.save(bad, file, _use_new_zipfile_serialization=not legacy)
        refused(file, "needs posix.mkdir, but ltdm unpickles only tensors")
        refused(file, "write its weights alone")
    assert not (tmp_path / "made").exists()
    content = path.read_bytes()
    for end in (0, 100, len(content) // 2, len(content) - 10):
        file.write_bytes(content[:end])
        refused(file, "is damaged, truncated, or no file of torch.save")
    file.write_text("hello")
    refused(file, "no file of torch.save")
    for content, message in (
        ([1, 2], "holds no dictionary of weights, but a list"),
        ({"model": state, "epoch": 3}, "no net_model or ema_model, but model, epoch; write"),
        ({}, "has no net_model or ema_model, but nothing"),
        ({"net_model": state, "ema_model": other}, "different networks"),
        ({"ema_model": {**state, "head.bias": torch.full((32,), math.nan)}}, "finite (ema.head"),
    ):
        torch.save(content, file)
        refused(file, message)
    printed = ltdm("import", path, tmp_path / "m.safetensors", "--resolution", 7, code=1)
    assert "--resolution must be a multiple of 2, not 7" in printed


def test_a_level_without_channels_is_no_network(checkpoint, tmp_path):
    path, *_ = checkpoint()
    content = torch.load(path, weights_only=True)
    name = "downblocks.0.block2.0.weight"
    content["net_model"][name] = content["net_model"][name][:1]
    torch.save(content, path)
    with pytest.raises(LtdmError, match="net_model is an unknown network"):
        released.read_checkpoint(path)


def test_a_checkpoint_is_not_overwritten_and_a_model_of_ltdm_is_recognised(tmp_path, checkpoint):
    path, *_ = checkpoint()
    before, model = path.read_bytes(), tmp_path / "m.safetensors"
    assert "is the input itself" in ltdm("import", path, path, "--resolution", 8, code=1)
    assert path.read_bytes() == before
    ltdm("import", path, model, "--resolution", 8)
    assert "a model of ltdm itself" in ltdm("import", model, tmp_path / "n", code=1)
