"""The cache of PyTorch's compiler, so that a network is compiled once for all jobs.

By default PyTorch keeps this cache on each node, per user. Processes may share a folder: cache
files are written under a temporary name and renamed, and the compilers it calls lock theirs.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

CACHE_VARIABLE = "LTDM_COMPILED"
TORCH_CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
DEFAULT_FOLDER_PREFIX = "torchinductor_"
"""Start of the name of PyTorch's default folder, to which PyTorch itself sets the variable."""


def set_compile_cache(folder: Path) -> None:
    """Name the cache folder for this process and its children by CACHE_VARIABLE.

    A folder that the user has chosen by TORCH_CACHE_VARIABLE stays in use.
    """
    torch_folder = Path(os.environ.get(TORCH_CACHE_VARIABLE, DEFAULT_FOLDER_PREFIX))
    if torch_folder.name.startswith(DEFAULT_FOLDER_PREFIX):
        os.environ[CACHE_VARIABLE] = str(Path(folder).absolute())


def use_compile_cache(device: "torch.device") -> None:
    """Use the folder of `set_compile_cache`; call this before a network is compiled.

    The compiler creates it, with a subfolder of Triton's kernels. Only on a GPU: code compiled for
    one CPU may use instructions that another one lacks.
    """
    if CACHE_VARIABLE in os.environ and device.type == "cuda":
        os.environ[TORCH_CACHE_VARIABLE] = os.environ[CACHE_VARIABLE]
