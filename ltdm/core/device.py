"""Which device to run on, and how."""

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from ltdm.core.tf32 import Tf32
from ltdm.plumbing.errors import LtdmError


def pick_device(name: str | None = None) -> torch.device:
    """Return the device of this name, else of $LTDM_DEVICE, else "auto".

    A name is "cpu", "cuda", "cuda:N", or "auto": a GPU if there is one. Another name, or a GPU that
    is not there, raises LtdmError.
    """
    name = name or os.environ.get("LTDM_DEVICE") or "auto"
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", name):
        raise LtdmError(f"no device is called {name!r}; use auto, cpu, cuda or cuda:N")
    index = int(name.partition(":")[2] or 0)
    if name.startswith("cuda") and index >= torch.cuda.device_count():
        raise LtdmError(
            f"device {name} is asked for, but this machine shows {torch.cuda.device_count()} GPUs;"
            " set LTDM_DEVICE=cpu (or --device cpu), or run where there is one"
        )
    if name == "cpu":
        return torch.device("cpu")
    torch.cuda.set_device(index)
    torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32
    torch.backends.cuda.matmul.allow_tf32 = False
    # It builds a plan for each new shape, which many short calls pay for; off until it is timed.
    torch.backends.cuda.enable_cudnn_sdp(False)
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    """Return what a device is called."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return "bf16", "tf32" or "fp32"; "auto" is bf16 on a GPU that has it."""
    if precision != "auto":
        return precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def memory_layout(precision: str, device: torch.device) -> torch.memory_format:
    """Return how a network's images lie in memory: channels last on a GPU, unless it is fp32.

    Tensor cores read channels last; cuDNN's kernels for plain fp32 are made for planes.
    """
    last = device.type == "cuda" and resolve_precision(precision, device) != "fp32"
    return torch.channels_last if last else torch.contiguous_format


def precision_context(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context of a network's calls in "fp32", "tf32" or "bf16".

    bf16 is autocast. tf32 is float32 whose products round their operands: by the GPU's tensor
    cores, or as they do, on a CPU.
    """
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    if precision == "tf32":
        return _allow_tensor_cores() if device.type == "cuda" else Tf32()
    return nullcontext()


@contextmanager
def _allow_tensor_cores() -> Iterator[None]:
    """Let float32 products run on the tensor cores within a block."""
    switches: list[Any] = [torch.backends.cudnn, torch.backends.cuda.matmul]
    before = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = True
        yield
    finally:
        for switch, was in zip(switches, before, strict=True):
            switch.allow_tf32 = was
