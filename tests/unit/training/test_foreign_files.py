"""Released checkpoints in the forms that other codes and people leave them in."""

import tarfile
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ltdm.core.weights import read_weights
from ltdm.external.checkpoint import convert
from ltdm.plumbing.errors import LtdmError
from tests.helpers.released import network, released_state_dict

STATE = released_state_dict(network(1))
TABLE = "time_embedding.timembedding.0.weight"


def imported(folder, content, weights="ema", write=torch.save):
    """Import a file with this content; return the tensors of the model's file."""
    write(content, folder / "c.pt")
    convert(folder / "c.pt", folder / "m.safetensors", 8)
    return read_weights(folder / "m.safetensors", f"{weights}.")[0]


def assert_equal(tensors, to):
    assert tensors.keys() == to.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, to[name]), name


def renamed(old, new):
    return {name.replace(old, new): tensor for name, tensor in STATE.items()}


def prefixed(*prefixes):
    return {f"{p}{name}": tensor for p in prefixes for name, tensor in STATE.items()}


def each(change):
    return {name: change(tensor) for name, tensor in STATE.items()}


@pytest.mark.parametrize(
    "state",
    [
        prefixed("module."),
        prefixed("_orig_mod."),
        prefixed("module._orig_mod."),
        prefixed("_orig_mod.module.module."),
        prefixed("_fsdp_wrapped_module."),
        renamed("downblocks.0.", "downblocks.0._orig_mod."),
        renamed("tail.", "tail.module."),
        {**prefixed("module."), "n_averaged": torch.tensor(3)},
        OrderedDict(prefixed("module.")),
        each(lambda t: nn.Parameter(t.clone())),
        each(lambda t: t.t().contiguous().t() if t.ndim == 2 else t),
        each(lambda t: t.double()),
    ],
)
def test_wrapping_changes_nothing(tmp_path, state):
    assert_equal(imported(tmp_path, {"ema_model": state}), to=network(1).state_dict())


def test_what_pytorch_itself_leaves_is_taken_out(tmp_path):
    net = network(1)
    net.tail = nn.DataParallel(net.tail)
    averaged = torch.optim.swa_utils.AveragedModel(nn.DataParallel(net))
    state = averaged.state_dict()
    prefix = "module.module."
    assert f"{prefix}tail.module.0.weight" in state
    for layer, name_in_file in ((0, 1), (2, 3)):
        old, new = f"time_embedding.mlp.{layer}", f"time_embedding.timembedding.{name_in_file}"
        state = {name.replace(old, new): tensor for name, tensor in state.items()}
    state[f"{prefix}{TABLE}"] = STATE[TABLE]
    assert_equal(imported(tmp_path, {"ema_model": state}), to=network(1).state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_and_its_table_is_the_formula(tmp_path, dtype):
    tensors = imported(tmp_path, {"ema_model": each(lambda t: t.to(dtype))})
    expected = {name: t.to(dtype).float() for name, t in network(1).state_dict().items()}
    assert_equal(tensors, to=expected)


def test_sets_and_tensors_may_share_memory(tmp_path):
    for content in (
        {"net_model": STATE, "ema_model": STATE},
        {"net_model": each(lambda t: t.view_as(t)), "ema_model": STATE},
    ):
        for weights in ("ema", "last"):
            actual = imported(tmp_path, content, weights)
            assert_equal(actual, to=network(1).state_dict())
    tied = {**STATE, "tail.0.bias": STATE["tail.0.weight"], "head.bias": torch.ones(1).expand(32)}
    tensors = imported(tmp_path, {"ema_model": tied})
    assert torch.equal(tensors["tail.0.bias"], STATE["tail.0.weight"])
    assert torch.equal(tensors["head.bias"], torch.ones(32))


def test_a_safetensors_file_is_read(tmp_path):
    tensors = imported(tmp_path, prefixed("module."), "last", save_file)
    assert_equal(tensors, to=network(1).state_dict())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**STATE, "module.head.weight": STATE["head.weight"]}, "head.weight twice"),
        (prefixed("model."), r"has its U-Net under the names model\.\*"),
        (prefixed("online_model.", "ema_model."), r"under the names ema_model\.\*, online_model"),
        ({"shadow": STATE, "decay": 0.999}, "holds shadow, which is no tensor, but dict"),
        ({"shadow_params": [*STATE.values()]}, "holds shadow_params, which is no tensor, but list"),
        ({**STATE, "head.bias": None}, "holds head.bias, which is no tensor"),
        (each(lambda t: t.to(torch.int8)), "as int8 .* 16, 32 or 64 bit floats"),
        (each(lambda t: t.to(torch.complex64)), "as complex64"),
        (each(lambda t: t.to_sparse()), "sparse_coo"),
        (each(lambda t: t.to("meta")), "meta"),
        (each(lambda t: t.to(torch.float8_e4m3fn)), "as float8_e4m3fn"),
        ({**STATE, "head.bias": torch.full((32,), 1e300, dtype=torch.float64)}, "not finite"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_by_name(tmp_path, content, message):
    with pytest.raises(LtdmError, match=rf"c\.pt.*{message}"):
        imported(tmp_path, {"ema_model": content})


def test_two_sets_of_one_kind_are_refused(tmp_path):
    with pytest.raises(LtdmError, match="net_model and global_model; write one alone"):
        imported(tmp_path, {"net_model": STATE, "global_model": STATE})


def write_tar(state, file):
    torch.save(state, file.with_name("in.pt"))
    with tarfile.open(file, "w") as archive:
        archive.add(file.with_name("in.pt"), "in.pt")


def write_zip(state, file):
    torch.save(state, file.with_name("in.pt"))
    with zipfile.ZipFile(file, "w") as archive:
        archive.write(file.with_name("in.pt"), "in.pt")


def write_npz(state, file):
    with open(file, "wb") as stream:
        np.savez(stream, **{name: tensor.numpy() for name, tensor in state.items()})


def write_text(text):
    return lambda state, file: file.write_text(text)


def write_script(state, file):
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("data.pkl", "constants.pkl"):  # as torch.jit.save, which is deprecated, does
            archive.writestr(f"c/{name}", b"")


def write_spoilt(state, file):
    torch.save(state, file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def write_bad_index(state, file):
    torch.save(state, file)
    before, name, after = file.read_bytes().rpartition(b"data.pkl")
    file.write_bytes(before + b"\xec" + name[1:] + after)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_bad_index, "damaged, truncated, or no file of torch.save; download it again"),
        (write_tar, "packed archive; unpack it"),
        (write_zip, "packed archive; unpack it"),
        (write_npz, "a NumPy array; write its weights as a state dict"),
        (write_text("\n<!DOCTYPE html><html>"), "a web page"),
        (write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
        (write_script, r"TorchScript program; write the network's state_dict\(\)"),
        (write_spoilt, r"damaged \(the checksum of c/data/\d+ differs\); download it again"),
    ],
)
def test_other_files_are_called_what_they_are(tmp_path, write, message):
    with pytest.raises(LtdmError, match=rf"c\.pt is .*{message}"):
        imported(tmp_path, STATE, write=write)
    assert not (tmp_path / "m.safetensors").exists()
