"""The resume state of a run: written beside the model, found again by what the run is.

A run's state lives in `state/<key>/`, where the key is a digest of everything that decides its
result. A changed config therefore starts afresh, and going back to the old one before the new one
has finished goes on from where it was.
"""

import hashlib
import io
import json
import logging
import pickle
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from ltdm.core.weights import read_metadata, read_weights, write_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json, write_bytes
from ltdm.plumbing.locks import exclusive

log = logging.getLogger("ltdm")
T = TypeVar("T")


def run_key(identity: dict[str, Any]) -> str:
    """Return 16 hex digits over what decides a run's result."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


class Files(NamedTuple):
    """What a network is made from (train.npz, perhaps a network to start from), and what is made.

    That is the weights, the losses and run.json.
    """

    data: Path
    init: Path | None
    model: Path
    history: Path
    record: Path

    def state(self, who: dict[str, Any]) -> "State":
        """Return the state of the run that `who` says what decides."""
        return State(Path(self.model).parent / "state", run_key(who))

    def made(self, key: str) -> bool:
        """Whether the results are there, and say that they are those of the run with this key."""
        there = all(Path(file).exists() for file in (self.model, self.history, self.record))
        return there and read_json(self.record).get("key") == key


class State:
    """The state folder of one run with one key."""

    def __init__(self, folder: Path, key: str):
        self.folder, self.key = Path(folder) / key, key
        self.file, self.progress = self.folder / "state.pt", self.folder / "progress.json"

    def alone(self) -> AbstractContextManager[None]:
        """Hold the run's lock, or raise LtdmError: one process trains it, whatever its options."""
        return exclusive(self.folder.parent)

    def save(self, content: dict[str, Any]) -> None:
        """Write the state, whole or not at all."""
        write_state(self.file, self.key, content)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the state, or None where there is none yet; it raises what `read_state` does."""
        if self.file.exists():
            return read_state(self.file, self.key, device)
        runs = self.folder.parent
        if any(runs.glob("*/state.pt")):
            message = "%s holds an unfinished run with other options, data or code; starting afresh"
            log.info(message, runs)
        return None

    def keep(self, update: int, tensors: dict[str, Tensor]) -> None:
        """Write the snapshots that are taken after an update, beside the state."""
        write_weights(self._place(update), tensors, {"key": self.key})

    def check_kept(self, updates: list[int]) -> None:
        """Refuse to go on where a snapshot of these updates is lost; their weights are not read."""
        for update in updates:
            self._snapshot(update, read_metadata)

    def kept(self, updates: list[int]) -> dict[str, Tensor]:
        """Return the snapshots of these updates: `snapshot.<width>.<update>.<weight>`."""
        found = {}
        for update in updates:
            tensors, _ = self._snapshot(update, read_weights)
            for name, tensor in tensors.items():
                place = name.index(".", name.index(".") + 1)  # widths are 0.05, 0.1, ..
                found[f"snapshot.{name[:place]}.{update}{name[place:]}"] = tensor
        return found

    def _place(self, update: int) -> Path:
        return self.folder / "snapshots" / f"{update}.safetensors"

    def _snapshot(self, update: int, read: Callable[[Path], T]) -> T:
        """Read a snapshot; one that is lost can only be made by training anew."""
        file = self._place(update)
        try:
            return read(file)
        except LtdmError as error:
            raise LtdmError(
                f"the snapshot {file} is missing or damaged; delete the folder {self.folder} and"
                " run the same command again, which trains anew"
            ) from error

    def clear(self) -> None:
        """Remove this and all older states once the model is written."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)


def write_state(file: Path, key: str, content: dict[str, Any]) -> None:
    """Write a state with the key of its run, whole or not at all."""
    buffer = io.BytesIO()
    torch.save({"key": key, **content}, buffer)
    write_bytes(file, buffer.getbuffer())


def read_state(file: Path, key: str, device: torch.device) -> dict[str, Any]:
    """Read a state of the run with this key, or raise LtdmError."""
    way_out = f"delete the folder {Path(file).parent} and run the same command again"
    try:
        content: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise LtdmError(f"the resume state {file} is missing; {way_out}") from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        what = f"damaged ({str(error).splitlines()[0]})"
        raise LtdmError(f"the resume state {file} is {what}; {way_out}") from error
    if content.get("key") != key:
        raise LtdmError(
            f"the resume state {file} belongs to a run with other options, data or code; {way_out}"
        )
    return content
