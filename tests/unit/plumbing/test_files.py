"""Files on a full disk, half-written or unreadable files, and the choice of the device."""

import io
import pickle
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from ltdm.core import device
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import (
    atomic_write,
    explain_read_errors,
    read_json,
    read_npz,
    write_json,
)
from ltdm.training.state import explain_state_errors

FULL = """
import resource, sys
import numpy as np, torch
from pathlib import Path
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import write_npz
from ltdm.training.state import State
from ltdm.core.weights import write_weights

folder, big = Path(sys.argv[1]), 50_000
write_npz(folder / "table.npz", a=np.zeros(3))
before = (folder / "table.npz").read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
for write in (
    lambda: write_npz(folder / "table.npz", a=np.zeros(big)),
    lambda: write_weights(folder / "model.safetensors", {"a": torch.zeros(big)}, {}),
    lambda: State(folder / "state", "0").save({"a": torch.zeros(big)}),
):
    try:
        write()
    except LtdmError as error:
        print(error)
assert (folder / "table.npz").read_bytes() == before
print(sorted(p.name for p in folder.rglob("*") if p.is_file()))
"""


def test_a_full_disk_is_one_sentence_and_keeps_only_the_previous_file(tmp_path):
    """A limit on file sizes simulates a full disk: the same system call fails."""
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    *sentences, left = result.stdout.splitlines()
    files = [sentence.partition(":")[0].rpartition("/")[2] for sentence in sentences]
    assert files == ["table.npz", "model.safetensors", "state.pt"]
    assert all("fix that and run the same command again" in s for s in sentences)
    assert left == "['table.npz']"


def test_a_file_is_complete_or_absent(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a" / "x.csv") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.parametrize(
    ("offset", "value"),
    [(6, 250), (10, 99), (8, 1)],
    ids=["version", "compression", "encryption"],
)
def test_archives_that_zipfile_cannot_read_are_one_sentence(tmp_path, offset, value):
    """Each of them makes zipfile raise another exception."""
    np.savez(tmp_path / "a.npz", x=np.arange(9))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.rindex(b"PK\x01\x02") + offset] = value
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(LtdmError, match=r"a.npz is damaged, or no .npz of plain arrays; fetch"):
        read_npz(tmp_path / "a.npz", "x", is_result=False)


def test_a_damaged_compressed_archive_is_one_sentence(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.random.default_rng(0).integers(0, 9, 999))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[200:260] = bytes(60)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(LtdmError, match=r"a.npz is damaged"):
        read_npz(tmp_path / "a.npz", "x", is_result=False)


def write_members(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("kind", ["objects", "npy", "text", "no array", "huge", "pickle"])
def test_arrays_of_another_kind_are_one_sentence_without_advice_for_programmers(tmp_path, kind):
    file = tmp_path / "a.npz"
    if kind == "objects":
        np.savez(file, x=np.array([{}, None]))
    elif kind == "npy":
        np.save(tmp_path / "a.npy", np.arange(9))
        (tmp_path / "a.npy").rename(file)
    elif kind == "no array":
        write_members(file, x="words")
    elif kind == "huge":
        header = io.BytesIO()
        about = {"descr": "<f8", "fortran_order": False, "shape": (10**14,)}
        np.lib.format.write_array_header_1_0(header, about)
        write_members(file, **{"x.npy": header.getvalue()})
    else:
        file.write_bytes(pickle.dumps({"x": 1}) if kind == "pickle" else b"one, two")
    for is_result, way_out in ((False, "fetch or make it again"), (True, "delete it and run")):
        with pytest.raises(LtdmError) as error:
            read_npz(file, "x", is_result=is_result)
        text = str(error.value)
        assert text.startswith(f"{file} ") and way_out in text
        assert not re.search("allow_pickle|trust|zip|shape|GiB", text), text


@pytest.mark.parametrize("text", ["", "{", "[1]", "nul", "\x00", "[" * 100_000])
def test_a_record_of_another_kind_is_one_sentence(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(LtdmError, match=r"a.json is damaged, or no JSON object; delete it and run"):
        read_json(tmp_path / "a.json")


def test_errors_of_a_gpu_say_nothing_about_a_file(tmp_path):
    for error in (torch.OutOfMemoryError("full"), torch.AcceleratorError("lost")):
        for explain in (explain_read_errors(tmp_path, "file"), explain_state_errors(tmp_path)):
            with pytest.raises(type(error)), explain:
                raise error


@pytest.mark.parametrize("kind", ["folder", "file in the way", "long name"])
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path, kind):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    names = {"folder": "folder", "file in the way": "file/a.json", "long name": "a" * 300}
    with pytest.raises(LtdmError, match=r"^cannot write .*: .*; fix that"):
        write_json(tmp_path / names[kind], {})


def test_the_device_is_chosen_by_name_and_environment(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.pick_device().type == "cpu"
    for name in ("cuda", "cuda:3"):
        with pytest.raises(LtdmError, match=f"device {name} is requested, .* 0 GPUs"):
            device.pick_device(name)
    with pytest.raises(LtdmError, match="no device is called 'gpu'"):
        device.pick_device("gpu")
    with pytest.raises(LtdmError, match="no device is called 'cuda:'"):
        device.pick_device("cuda:")
    monkeypatch.setenv("LTDM_DEVICE", "")
    assert device.pick_device().type == "cpu"
    monkeypatch.setenv("LTDM_DEVICE", "cuda")
    with pytest.raises(LtdmError, match="LTDM_DEVICE=cpu"):
        device.pick_device()
