"""Networks on disk: safetensors with their options inside, so a model says what it is."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import atomic_write


def write_weights(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write tensors and a JSON description; the same input always gives the same bytes.

    Raises:
        LtdmError: The disk is full, or closed to the user; what was there stays.
    """
    whole = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    with atomic_write(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # what the user's files have; safetensors' are private
        try:
            save_file(whole, temporary, {"ltdm": json.dumps(about, sort_keys=True)})
        except SafetensorError as error:  # the system's error, in words
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else 0, str(error)) from error
        temporary.chmod(mode)


def read_metadata(path: Path) -> dict[str, Any]:
    """Read the description alone."""
    return read_weights(path, "no tensor's name")[1]


def read_weights(path: Path, prefix: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors whose names start with `prefix`, without it, and the description."""
    path = Path(path)
    if not path.exists():
        raise LtdmError(f"{path} is missing; run the stage that makes it, or `snakemake`")
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("ltdm", "null"))
            names = [n for n in file.keys() if n.startswith(prefix)]  # noqa: SIM118
            tensors = {n.removeprefix(prefix): file.get_tensor(n) for n in names}
    except (SafetensorError, OSError) as error:
        raise LtdmError(
            f"{path} is damaged ({error}); delete it and run the same command again"
        ) from error
    if about is None:
        raise LtdmError(f"{path} was not written by ltdm: it does not say what it holds")
    return tensors, about


def add_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors with a prefix before their names."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def select_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names start with a prefix, without it."""
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
