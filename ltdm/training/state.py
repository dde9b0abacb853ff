"""The resume state of a run: stored beside the model, found by the run's key.

A run's state lies in `state/<key>/`, where the key is a digest of everything that decides the
result. A changed config therefore starts afresh, and changing it back before the new run has
finished resumes the old one.
"""

import hashlib
import io
import json
import logging
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from ltdm.core.weights import read_metadata, read_weights, write_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors, read_json, write_bytes
from ltdm.plumbing.locks import exclusive

log = logging.getLogger("ltdm")
T = TypeVar("T")


def run_key(identity: dict[str, Any]) -> str:
    """Return 16 hex digits, a digest of everything that decides a run's result."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


class Files(NamedTuple):
    """The files of a training run.

    It reads `data` (train.npz) and, if given, `init`, a network to start from. It writes `model`
    (weights), `history` (losses, CSV) and `record` (run.json).
    """

    data: Path
    init: Path | None
    model: Path
    history: Path
    record: Path

    def state(self, identity: dict[str, Any]) -> "State":
        """Return the resume state of the run with this identity, see `run_key`."""
        return State(Path(self.model).parent / "state", run_key(identity))

    def is_finished(self, key: str) -> bool:
        """Whether all results exist and belong to the run with this key."""
        exist = all(Path(file).exists() for file in (self.model, self.history, self.record))
        return exist and read_json(self.record).get("key") == key


class State:
    """The state folder of one run with one key."""

    def __init__(self, folder: Path, key: str):
        self.folder, self.key = Path(folder) / key, key
        self.file, self.progress = self.folder / "state.pt", self.folder / "progress.json"

    def lock(self) -> AbstractContextManager[None]:
        """Hold the run's lock, for all its keys; LtdmError where another process trains it."""
        return exclusive(self.folder.parent)

    def save(self, content: dict[str, Any]) -> None:
        """Write the state atomically."""
        write_state(self.file, self.key, content)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the state, or None if there is none yet; raises what `read_state` does."""
        if self.file.exists():
            return read_state(self.file, self.key, device)
        runs = self.folder.parent
        if any(runs.glob("*/state.pt")):
            message = "%s holds an unfinished run with other options, data or code; starting afresh"
            log.info(message, runs)
        return None

    def save_snapshot(self, step: int, tensors: dict[str, Tensor]) -> None:
        """Write the averages after a training step, beside the state."""
        write_weights(self._snapshot_path(step), tensors, {"key": self.key})

    def check_snapshots(self, steps: list[int]) -> None:
        """Raise LtdmError where a snapshot of these steps is lost; weights are not read."""
        for step in steps:
            self._read_snapshot(step, read_metadata)

    def load_snapshots(self, steps: list[int]) -> dict[str, Tensor]:
        """Return the snapshots of these steps, named `snapshot.<width>.<step>.<weight>`."""
        snapshots = {}
        for step in steps:
            tensors, _ = self._read_snapshot(step, read_weights)
            for name, tensor in tensors.items():
                end = name.index(".", name.index(".") + 1)  # of the width, which is 0.05, 0.1, ..
                snapshots[f"snapshot.{name[:end]}.{step}{name[end:]}"] = tensor
        return snapshots

    def _snapshot_path(self, step: int) -> Path:
        return self.folder / "snapshots" / f"{step}.safetensors"

    def _read_snapshot(self, step: int, read: Callable[[Path], T]) -> T:
        """Read a snapshot by `read`; only a new training can replace a lost one."""
        file = self._snapshot_path(step)
        try:
            return read(file)
        except LtdmError as error:
            raise LtdmError(
                f"the snapshot {file} is missing or damaged; delete the folder {self.folder} and"
                " run the same command again, which restarts the training"
            ) from error

    def clear(self) -> None:
        """Remove this state and all older ones, once the model is written."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)


def write_state(file: Path, key: str, content: dict[str, Any]) -> None:
    """Write a state with the key of its run, atomically."""
    buffer = io.BytesIO()
    torch.save({"key": key, **content}, buffer)
    write_bytes(file, buffer.getbuffer())


def read_state(file: Path, key: str, device: torch.device) -> dict[str, Any]:
    """Read a state of the run with this key; LtdmError if it is missing, damaged or another's."""
    with explain_state_errors(file):
        content: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
        if content.get("key") != key:
            raise LtdmError(
                f"the resume state {file} belongs to a run with other options, data or code;"
                f" {_state_advice(file)}"
            )
        return content


def explain_state_errors(file: Path) -> AbstractContextManager[None]:
    """Explain errors of reading a state, and of resuming from it, as `explain_read_errors` does."""
    return explain_read_errors(file, "resume state", way_out=_state_advice(file))


def _state_advice(file: Path) -> str:
    return f"delete the folder {Path(file).parent} and run the same command again"
