"""Checkpoints of other codes: read as what they are, or refused in one sentence."""

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
    answers,
    checkpoint,
    network,
    their_names,
)
from tests.helpers.stages import ALONE, asked
from tests.unit.cli.test_cli import ltdm

__all__ = ["checkpoint"]


@pytest.mark.parametrize("form", [
    {}, {"prefix": "module."}, {"legacy": True}, {"classes": 0}, {"told": 9},
    {"classes": 3, "told": 9, "prefix": "module.", "legacy": True},
])  # fmt: skip
def test_the_imported_network_says_the_same_to_the_bit(checkpoint, tmp_path, form):
    path, raw, ema = checkpoint(**form)
    classes, told = form.get("classes", 10), form.get("told", 0)
    printed = ltdm("import", path, tmp_path / "m.safetensors", "--resolution", 8)
    assert "200000 updates" in printed and "Left out: sched, optim, fixed_x_T." in printed
    for name, original in (("last", raw), ("ema", ema)):
        tensors, about = read_weights(tmp_path / "m.safetensors", f"{name}.")
        options = parse_part("network", about["network"], ()).options
        assert options == OPTIONS
        assert (about["told"], about["label"]) == (told, "input" if classes else "nothing")
        assert (about["channels"], about["size"], about["classes"]) == (1, 8, classes or 1)
        net = unet.build(options, 1, 8, classes, told).eval()
        net.load_state_dict(tensors)
        assert torch.equal(answers(net, classes, told), answers(original, classes, told))
    assert not torch.equal(answers(raw, classes, told), answers(ema, classes, told))


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
        sample.run(asked(spec, 3), model=model, **ALONE, samples=samples, record=record)
        about = {"network": NETWORK, "process": {"name": "vp", "T": 50}, "channels": 1, "size": 8,
                 "classes": 10, "told": 0, "points": False, "label": "input"}  # fmt: skip
        theirs = Model.of(original.state_dict(), about, "fp32", torch.device("cpu"))
        own = SampleGenerator(theirs, parse(SampleOptions, spec), 3)
        images, labels = read_npz(samples, "images", "labels")
        assert np.array_equal(images, own.images(labels, np.arange(len(labels))))
    ltdm("import", path, tmp_path / "other.safetensors", "--resolution", 8)
    assert (tmp_path / "other.safetensors").read_bytes() == model.read_bytes()


@pytest.mark.parametrize(("classes", "told", "entries"), [(0, 0, 329), (10, 0, 330), (10, 9, 331)])
def test_paper_size(classes, told, entries):
    """As many names as the released network has; each is one of ours, and none is left."""
    with torch.device("meta"):
        theirs = their_names(unet.UNet(unet.Options(), 3, classes, told))
    assert len(theirs) == entries
    shape = released._shape("a file", {name: tuple(t.shape) for name, t in theirs.items()})
    assert shape == (unet.Options(), 3, classes, told, 1000)


def test_other_shapes_are_told_from_the_weights(tmp_path):
    for options in (
        unet.Options(ch=64, ch_mult=(1,), attn=(), num_res_blocks=1),
        unet.Options(ch=32, ch_mult=(1, 1, 3), attn=(0, 2), num_res_blocks=3),
    ):
        net = network(0, classes=4, options=options, channels=3)
        torch.save({"ema_model": their_names(net, levels=10)}, tmp_path / "c.pt")
        held = released.read(tmp_path / "c.pt")
        assert held.shape == (options, 3, 4, 0, 10)
        assert (held.updates, held.left_out) == (0, [])


def test_one_set_of_weights_is_never_taken_for_the_other(tmp_path):
    theirs = their_names(network(0))
    for content, wanted in (
        ({"ema_model": theirs}, ["ema"]), ({"net_model": theirs, "step": 3}, ["last"]),
        (theirs, ["last"]), ({"global_model": theirs, "global_ema_model": theirs}, ["last", "ema"]),
    ):  # fmt: skip
        torch.save(content, tmp_path / "c.pt")
        assert list(released.read(tmp_path / "c.pt").weights) == wanted
    assert "sample: {weights: last}" in ltdm_of_bare(tmp_path, theirs)


def ltdm_of_bare(folder, theirs):
    torch.save(theirs, folder / "bare.pt")
    return ltdm("import", folder / "bare.pt", folder / "bare.safetensors", "--resolution", 8)


class Code:
    """Runs code when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def without(name):
    return lambda theirs: {k: v for k, v in theirs.items() if k != name}


def with_(**tensors):
    return lambda theirs: {**theirs, **{k.replace("__", "."): v for k, v in tensors.items()}}


def other_table(theirs):
    table = theirs["time_embedding.timembedding.0.weight"]
    apart = torch.cat([table[:, 0::2], table[:, 1::2]], dim=1)  # all sines, then all cosines
    return {**theirs, "time_embedding.timembedding.0.weight": apart}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("upblocks.1.shortcut.bias"), "upblocks.1.shortcut.bias is missing"),
        (without("head.weight"), "is a network that is not known, of time_embedding"),
        (without("time_embedding.timembedding.0.weight"), "is a network that is not known"),
        (with_(tail__2__bias=torch.zeros(7)), r"tail.2.bias is \(7,\), not \(1,\)"),
        (with_(extra=torch.zeros(7), more=torch.zeros(1)), "extra is not known, more is not known"),
        (with_(downblocks__0__cemb_proj__1__bias=torch.zeros(7)), "IET-AGC's variant of the U-Net"),
        (lambda theirs: {"input_blocks.0.0.weight": torch.zeros(3)}, "U-Net of guided-diffusion"),
        (lambda theirs: {"w": torch.zeros(3)}, "is a network that is not known, of w; ltdm reads"),
        (other_table, "has another time embedding than the sines and cosines"),
    ],
)  # fmt: skip
def test_another_network_is_refused(tmp_path, change, message):
    torch.save({"ema_model": change(their_names(network(0)))}, tmp_path / "c.pt")
    with pytest.raises(LtdmError, match=f"c.pt: ema_model .*{message}"):
        released.read(tmp_path / "c.pt")


def test_no_checkpoint_at_all_is_refused(tmp_path, checkpoint):
    def refused(path, message):
        printed = ltdm("import", path, tmp_path / "m.safetensors", "--resolution", 8, code=1)
        assert printed.startswith("ltdm: ") and printed.count("\n") == 1
        assert str(path) in printed and message in printed

    path, *_ = checkpoint()
    theirs, file = their_names(network(0)), tmp_path / "c.pt"
    other = their_names(network(0, classes=3))
    refused(tmp_path / "none.pt", "is missing; fix the path")
    refused(tmp_path, "cannot read")
    for legacy in (False, True):
        bad = {"net_model": theirs, "code": Code(tmp_path / "made")}
        torch.save(bad, file, _use_new_zipfile_serialization=not legacy)
        refused(file, "asks for posix.mkdir, and ltdm unpickles nothing but tensors")
        refused(file, "write its weights alone")
    assert not (tmp_path / "made").exists()
    whole = path.read_bytes()
    for end in (0, 100, len(whole) // 2, len(whole) - 10):
        file.write_bytes(whole[:end])
        refused(file, "is damaged, cut short, or no file of torch.save; fetch it again")
    file.write_text("hello")
    refused(file, "no file of torch.save")
    for content, message in (
        ([1, 2], "holds no dictionary of weights, but a list"),
        ({"model": theirs, "epoch": 3}, "no net_model or ema_model, but model, epoch; write"),
        ({}, "has no net_model or ema_model, but nothing"),
        ({"net_model": theirs, "ema_model": other}, "different networks"),
        ({"ema_model": {**theirs, "head.bias": torch.full((32,), math.nan)}}, "finite (ema.head"),
    ):  # fmt: skip
        torch.save(content, file)
        refused(file, message)
    printed = ltdm("import", path, tmp_path / "m.safetensors", "--resolution", 7, code=1)
    assert "--resolution must be a multiple of 2, not 7" in printed
