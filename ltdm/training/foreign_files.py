"""Files of weights that other codes wrote: read without running code, and brought into plain form.

Read are `torch.save` files, new and old, and safetensors. What wrapping a network leaves in the
names of its tensors is taken out; tensors must be dense floating-point numbers.
"""

import hashlib
import re
import tarfile
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors

WRAPPERS = {
    "module",  # DataParallel, DistributedDataParallel, AveragedModel
    "_orig_mod",  # torch.compile
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
}
"""Parts of tensors' names that PyTorch's wrappers leave, at the front or before a layer's name."""
COUNTERS = {"n_averaged"}
"""Tensors that are no weights: AveragedModel's number of averaged models."""
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
FOREIGN_STARTS = {
    b"<": "a web page, as servers send in place of a file; download it again",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file with `git lfs pull`",
    b"\x1f\x8b": "a packed archive; unpack it first",
    b"BZh": "a packed archive; unpack it first",
    b"\xfd7zXZ": "a packed archive; unpack it first",
    b"\x93NUMPY": "a NumPy array; write its weights as a state dict with torch.save",
    b"\x89HDF": "an HDF5 file; write its weights as a state dict with torch.save",
}
"""Kinds of other files by their first bytes, each with the way out."""


def read_content(path: Path) -> dict[Any, Any]:
    """Read a dictionary of tensors and plain values.

    Where the format allows it, tensors stay on disk until they are used.

    Raises:
        LtdmError: The file is missing or damaged, holds something else, or needs code.
    """
    with explain_read_errors(path, "file of torch.save", is_result=False), open(path, "rb") as file:
        start, is_zip = file.read(9), zipfile.is_zipfile(file)
    try:
        if start[8:] == b"{":  # safetensors: the length of its header, then the header
            return dict(load_file(path))
        with warnings.catch_warnings(action="ignore"):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except Exception as error:  # the unpickler may raise anything on foreign bytes
        code = re.search(r"GLOBAL (\S+)", str(error))
        raise LtdmError(
            f"{path} needs {code[1]}, but ltdm unpickles only tensors and plain values; if you"
            " trust the file, load it yourself and write its weights alone,"
            " torch.save({'net_model': ..., 'ema_model': ...}, file)"
            if code
            else f"{path} is {_kind_of_file(path, is_zip)}"
        ) from error
    if not isinstance(content, dict):
        raise LtdmError(
            f"{path} holds no dictionary of weights, but a {type(content).__name__}; write the"
            " network's state_dict()"
        )
    return content


def _kind_of_file(path: Path, is_zip: bool) -> str:
    """Return what a file is that could not be read as weights, and the way out."""
    with open(path, "rb") as file:
        start = file.read(100).lstrip()
    kinds = [kind for prefix, kind in FOREIGN_STARTS.items() if start.startswith(prefix)]
    if tarfile.is_tarfile(path):
        kinds.append(FOREIGN_STARTS[b"\x1f\x8b"])
    elif is_zip:
        names = ["data.pkl"]
        with suppress(Exception):  # its index may be damaged
            names = [Path(name).name for name in zipfile.ZipFile(path).namelist()]
        if any(name.endswith(".npy") for name in names):
            kinds.append(FOREIGN_STARTS[b"\x93NUMPY"])
        elif "constants.pkl" in names:
            kinds.append("a TorchScript program; write the network's state_dict() in its place")
        elif "data.pkl" not in names:
            kinds.append(FOREIGN_STARTS[b"\x1f\x8b"])
    return (kinds or ["damaged, truncated, or no file of torch.save; download it again"])[0]


def archive_digest(path: Path) -> str:
    """Return a digest of a file's content, 16 hex digits, the same wherever the file lies.

    It is made of the checksums in the zip archive; formats without any are read entirely. LtdmError
    is raised if the file cannot be read.
    """
    with explain_read_errors(path, "file of torch.save", is_result=False), open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
        sums = sorted((i.filename, i.file_size, i.CRC) for i in zipfile.ZipFile(file).infolist())
    return hashlib.sha256(repr(sums).encode()).hexdigest()[:16]


def check_sums(path: Path) -> None:
    """Compare the checksums in a zip archive, which torch.load does not; LtdmError if one differs.

    The file is read entirely.
    """
    with explain_read_errors(path, "file of torch.save", is_result=False):
        member = zipfile.ZipFile(path).testzip() if zipfile.is_zipfile(path) else None
    if member:
        raise LtdmError(f"{path} is damaged (the checksum of {member} differs); download it again")


def unwrap_names(place: str, content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the tensors of a state dict by their names in the network without its wrappers.

    Errors begin with `place`.

    Raises:
        LtdmError: An entry is no tensor, or two have one name.
    """
    tensors: dict[str, Tensor] = {}
    for key, value in content.items():
        name = ".".join(part for part in str(key).split(".") if part not in WRAPPERS)
        if name in COUNTERS:
            continue
        if name in tensors:
            raise LtdmError(f"{place} has {name} twice, wrapped and bare; write one of them alone")
        if not isinstance(value, Tensor):
            raise LtdmError(
                f"{place} holds {key}, which is no tensor, but {type(value).__name__}; write the"
                " network's state_dict() in its place"
            )
        tensors[name] = value.detach()
    return tensors


def check_floats(place: str, tensors: Mapping[str, Tensor]) -> None:
    """Raise LtdmError for a tensor that is not dense, or of no plain floating-point type."""
    for name, t in tensors.items():
        if t.layout is not torch.strided or t.is_meta or t.dtype not in FLOATS:
            kind = f"{t.dtype} ({t.layout}, {t.device})".replace("torch.", "")
            raise LtdmError(
                f"{place} holds {name} as {kind}, but ltdm reads dense tensors of 16, 32 or 64 bit"
                " floats; write its weights as such"
            )
