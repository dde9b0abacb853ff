"""The environment variables of ltdm, checked in one place before anything is computed."""

import os
import re

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.options import suggest
from ltdm.plumbing.renamed import VARIABLES as OLD_NAMES

DEVICE, SAVE_SECONDS, TIME_LIMIT = "LTDM_DEVICE", "LTDM_SAVE_SECONDS", "LTDM_TIME_LIMIT_SECONDS"
OTHERS = ("LTDM_RUN_SNAPSHOT", "LTDM_JOBS_PER_GPU", "LTDM_COMPILED", "LTDM_CIFAR10")
"""Variables that ltdm sets itself, for its jobs, and the data of `make gpu-check`."""
DEVICE_NAME = re.compile(r"auto|cpu|cuda(:[0-9]+)?")


def check_environment() -> None:
    """Refuse variables that would be ignored, and values that no job could use.

    Raises:
        LtdmError: A variable that begins with LTDM_ is one of 0.1.0, unknown, or has a bad value.
    """
    known = (DEVICE, SAVE_SECONDS, TIME_LIMIT, *OTHERS)
    for name in sorted(name for name in os.environ if name.startswith("LTDM_")):
        if new := OLD_NAMES.get(name):
            raise LtdmError(
                f"the environment variable {name} is called {new} now; unset {name} and set {new}"
            )
        if name not in known:
            raise LtdmError(
                f"the environment variable {name} is not known; {suggest(name, known)}; unset it"
            )
    device()
    seconds(SAVE_SECONDS)
    seconds(TIME_LIMIT)


def device(name: str | None = None) -> str:
    """Return the name of a device, by default $LTDM_DEVICE or else "auto".

    Raises:
        LtdmError: It is none of "auto", "cpu", "cuda" and "cuda:N".
    """
    name = name or os.environ.get(DEVICE) or "auto"
    if not DEVICE_NAME.fullmatch(name):
        raise LtdmError(
            f"no device is called {name!r}; set {DEVICE} (or --device) to auto, cpu, cuda or cuda:N"
        )
    return name


def seconds(variable: str) -> float | None:
    """Return the seconds, from 0, that a variable sets; None if it is unset or empty.

    Raises:
        LtdmError: It is no such number.
    """
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:  # which NaN is not either
        raise LtdmError(f"{variable} must be a number of seconds from 0, not {text!r}; correct it")
    return value
