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
from pathlib import Path
from typing import Any

import torch

from ltdm.errors import LtdmError
from ltdm.files import write_bytes

log = logging.getLogger("ltdm")


def run_key(identity: dict[str, Any]) -> str:
    """Return 16 hex digits over what decides a run's result."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


class State:
    """The state folder of one run with one key."""

    def __init__(self, folder: Path, key: str):
        self.folder = Path(folder) / key
        self.file = self.folder / "state.pt"
        self.key = key

    def save(self, content: dict[str, Any]) -> None:
        """Write the state, whole or not at all."""
        buffer = io.BytesIO()
        torch.save({"key": self.key, **content}, buffer)
        write_bytes(self.file, buffer.getbuffer())

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the state, or None where there is none yet.

        Raises:
            LtdmError: The file is damaged or belongs to a run with other options.
        """
        if not self.file.exists():
            if any(self.folder.parent.glob("*/state.pt")):
                log.info(
                    "%s holds an unfinished run with other options, data or code; starting afresh",
                    self.folder.parent,
                )
            return None
        try:
            content = torch.load(self.file, map_location=device, weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
            raise LtdmError(
                f"the resume state {self.file} is damaged ({str(error).splitlines()[0]});"
                " delete it to start this run afresh"
            ) from error
        if content.get("key") != self.key:
            raise LtdmError(
                f"the resume state {self.file} belongs to a run with other options, data or code;"
                " move it away to start this run afresh"
            )
        return content

    def clear(self) -> None:
        """Remove this and all older states once the model is written."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
