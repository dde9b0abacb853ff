"""The device to run on, and the precision and memory layout used on it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from ltdm.core.tf32 import Tf32
from ltdm.plumbing import environment
from ltdm.plumbing.errors import LtdmError


def pick_device(name: str | None = None) -> torch.device:
    """Return the device called `name`, by default $LTDM_DEVICE or else "auto".

    Names are "cpu", "cuda", "cuda:N" and "auto", which is a GPU if there is one. On a GPU this also
    selects it and turns TF32 off.

    Raises:
        LtdmError: The name is another one, or this machine has no such GPU.
    """
    name = environment.device(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    index = int(name.partition(":")[2] or 0)
    if name.startswith("cuda") and index >= torch.cuda.device_count():
        raise LtdmError(
            f"device {name} is requested, but this machine shows {torch.cuda.device_count()} GPUs;"
            " set LTDM_DEVICE=cpu (or --device cpu), or run on a machine that has it"
        )
    if name == "cpu":
        return torch.device("cpu")
    torch.cuda.set_device(index)
    torch.backends.cudnn.allow_tf32 = False  # so that fp32 is float32
    torch.backends.cuda.matmul.allow_tf32 = False
    # cuDNN's attention builds a plan for each new shape, which is slow for many short calls.
    torch.backends.cuda.enable_cudnn_sdp(False)
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    """Return the GPU's model, or "cpu" with the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return "bf16", "tf32" or "fp32"; "auto" is bf16 on a GPU that supports it, else fp32."""
    if precision != "auto":
        return precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def memory_layout(precision: str, device: torch.device) -> torch.memory_format:
    """Return the memory format of a network's images: channels last on a GPU, except in fp32.

    Tensor cores read channels last; cuDNN's kernels for plain float32 are made for planes.
    """
    last = device.type == "cuda" and resolve_precision(precision, device) != "fp32"
    return torch.channels_last if last else torch.contiguous_format


def precision_context(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a network computes in "fp32", "tf32" or "bf16".

    bf16 is autocast. tf32 is float32 whose products round their operands to TF32: with tensor cores
    on a GPU, with an emulation of them on a CPU.
    """
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    if precision == "tf32":
        return _allow_tensor_cores() if device.type == "cuda" else Tf32()
    return nullcontext()


@contextmanager
def _allow_tensor_cores() -> Iterator[None]:
    """Let float32 products run in TF32 on the tensor cores within the context."""
    backends: list[Any] = [torch.backends.cudnn, torch.backends.cuda.matmul]
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = True
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed
