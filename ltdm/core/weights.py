"""Weight files: safetensors with the network's options as metadata, so that a file is complete."""

import json
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import atomic_write, explain_read_errors

if TYPE_CHECKING:
    from torch import Tensor


def write_weights(path: Path, tensors: "dict[str, Tensor]", metadata: dict[str, Any]) -> None:
    """Write tensors and JSON metadata; the same input always gives the same bytes.

    A file without tensors is written, and read, without PyTorch.

    Raises:
        LtdmError: The disk is full or not writable; the previous file stays.
    """
    save_file = import_module(f"safetensors.{'torch' if tensors else 'numpy'}").save_file
    on_cpu = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    with atomic_write(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # of the user's files; safetensors makes private ones
        try:
            save_file(on_cpu, temporary, {"ltdm": json.dumps(metadata, sort_keys=True)})
        except SafetensorError as error:  # it names the system's error only in its text
            number = re.search(r"(?:os error|code:) (\d+)", str(error))
            raise OSError(int(number[1]) if number else 0, str(error)) from error
        temporary.chmod(mode)


def read_metadata(path: Path, is_result: bool = True) -> dict[str, Any]:
    """Read a weight file's metadata without its tensors; errors as in `read_weights`."""
    return read_weights(path, "no tensor's name", is_result)[1]


def read_key(path: Path) -> str:
    """Read the key of a network's file, a digest of all that decides its weights."""
    metadata = read_metadata(path)
    with explain_read_errors(path, "network of ltdm"):
        return str(metadata["key"])


def read_weights(
    path: Path, prefix: str = "", is_result: bool = True
) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """Read the metadata and the tensors whose names start with `prefix`, which is cut off.

    Raises:
        LtdmError: The file was not written by ltdm, or as in `explain_read_errors`.
    """
    with explain_read_errors(path, "weight file of ltdm", is_result):
        open(path, "rb").close()  # raises the system's own error, which safetensors hides
        with safe_open(path, "np") as file:
            metadata = json.loads((file.metadata() or {}).get("ltdm", "null"))
            names = [n for n in file.keys() if n.startswith(prefix)]  # noqa: SIM118
        tensors = {}
        if names:
            with safe_open(path, "pt") as file:
                tensors = {n.removeprefix(prefix): file.get_tensor(n) for n in names}
    if not isinstance(metadata, dict):
        raise LtdmError(
            f"{path} was not written by ltdm, since it has none of its metadata; check the path"
        )
    return tensors, metadata


def add_prefix(prefix: str, tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return the tensors with `prefix` put before their names."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def select_prefix(prefix: str, tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return the tensors whose names start with `prefix`, which is cut off."""
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
