"""Which device to run on, and how."""

import contextlib
import os
import re

import torch

from ltdm.errors import LtdmError


def pick(name: str | None = None) -> torch.device:
    """Return the device named, or by $LTDM_DEVICE, or the best there is.

    Args:
        name: "auto", "cpu", "cuda" or "cuda:N"; None asks the environment.

    Raises:
        LtdmError: A GPU is asked for and there is none, or the name is unknown.
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
    return torch.device("cuda", index)


def resolved(precision: str, device: torch.device) -> str:
    """Return "bf16" or "fp32"; "auto" is bf16 on a GPU that has it."""
    if precision != "auto":
        return precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return the context for the network's forward pass: bf16 autocast or nothing."""
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()
