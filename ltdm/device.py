"""Which device to run on, and how."""

import contextlib
import os

import torch

from ltdm.errors import LtdmError


def pick(name: str | None = None) -> torch.device:
    """Return the device named, or by $LTDM_DEVICE, or the best there is.

    Args:
        name: "auto", "cpu", "cuda" or "cuda:N"; None asks the environment.

    Raises:
        LtdmError: A GPU is asked for and there is none, or the name is unknown.
    """
    name = name or os.environ.get("LTDM_DEVICE", "auto")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise LtdmError(f"no device is called {name!r}; use auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise LtdmError(
            f"device {name} is asked for, but this machine shows {torch.cuda.device_count()} GPUs;"
            " set LTDM_DEVICE=cpu (or --device cpu), or run where there is one"
        )
    return torch.device(name)


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return the context for the network's forward pass: bf16 autocast or nothing."""
    bf16 = precision == "bf16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16) if bf16 else contextlib.nullcontext()
