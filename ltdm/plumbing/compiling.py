"""Where PyTorch's compiler keeps what it makes, so that one job of an experiment compiles for all.

By itself it keeps that on the node, for each user. Processes may share a folder: files are written
beside their place and renamed, and what other compilers make is locked meanwhile.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

VARIABLE = "LTDM_COMPILED"
THEIRS = "TORCHINDUCTOR_CACHE_DIR"
DEFAULT = "torchinductor_"
"""How the folder's name begins that PyTorch takes by itself, and then sets the variable to."""


def keep_compiled(folder: Path) -> None:
    """Name a folder to this process and those that it starts, unless the user has named one."""
    if Path(os.environ.get(THEIRS, DEFAULT)).name.startswith(DEFAULT):
        os.environ[VARIABLE] = str(Path(folder).resolve())


def share_compiled(device: "torch.device") -> None:
    """Take that folder, before a network is compiled; the compiler makes it when it is due.

    Not on a CPU: code for it uses all that the very machine can do, so another may not run it.
    Triton's kernels go to a folder within.
    """
    if VARIABLE in os.environ and device.type == "cuda":
        os.environ[THEIRS] = os.environ[VARIABLE]
