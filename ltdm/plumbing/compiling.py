"""Where PyTorch's compiler keeps what it makes, so that one job of an experiment compiles for all.

By itself it keeps that on the node, for each user. Processes may share a folder: files are written
beside their place and renamed, and what other compilers make is locked meanwhile.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

CACHE_VARIABLE = "LTDM_COMPILED"
TORCH_CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
DEFAULT_FOLDER_PREFIX = "torchinductor_"
"""How the folder's name begins that PyTorch takes by itself, and then sets the variable to."""


def set_compile_cache(folder: Path) -> None:
    """Name a folder to this process and those that it starts, unless the user has named one."""
    if Path(os.environ.get(TORCH_CACHE_VARIABLE, DEFAULT_FOLDER_PREFIX)).name.startswith(
        DEFAULT_FOLDER_PREFIX
    ):
        os.environ[CACHE_VARIABLE] = str(Path(folder).resolve())


def use_compile_cache(device: "torch.device") -> None:
    """Take that folder, before a network is compiled; the compiler makes it when it is due.

    Not on a CPU: code for it uses all that the very machine can do, so another may not run it.
    Triton's kernels go to a folder within.
    """
    if CACHE_VARIABLE in os.environ and device.type == "cuda":
        os.environ[TORCH_CACHE_VARIABLE] = os.environ[CACHE_VARIABLE]
