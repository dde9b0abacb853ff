"""Weights that others published: their file, downloaded once or given, and its SHA-256."""

import logging
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock
from torch import Tensor, nn

from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import sha256

log = logging.getLogger("ltdm")


class PublishedWeights(NamedTuple):
    """A file of weights, and the options of its extractor."""

    content: str  # what it holds, for messages
    url: str
    file: str  # path that it is downloaded to
    sha256: str  # that of the file, in hexadecimal, or its first digits
    path: str | None  # of a file that takes its place; if set, nothing is downloaded
    options: str = "`path`"  # the options that a user sets for such a file, for messages


def check_path(path: str | None, file: str) -> None:
    """Check that `path`, if set, is a file; `file` is the one that is downloaded otherwise.

    Raises:
        OptionError: It is not.
    """
    if path is not None and not Path(path).is_file():
        raise OptionError(
            ("path",),
            f"there is no file {path!r}; correct it, or leave `path` out to download the weights"
            f" to {file}",
        )


def read_weights(
    net: nn.Module, source: PublishedWeights
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the weights of the network `net`, and the SHA-256 of their file as metadata.

    `net` is on PyTorch's meta device, and has the weights afterwards.

    Raises:
        LtdmError: The file cannot be downloaded, has another hash, or does not hold `net`'s
            weights.
        OptionError: `path` is no file.
    """
    check_path(source.path, source.file)
    file = Path(source.file if source.path is None else source.path)
    advice = f"fix {source.options}" if source.path else "delete it to download it again"
    if source.path is None and not file.exists():
        _download(source, file)
    if not (digest := sha256(file)).startswith(source.sha256):
        raise LtdmError(
            f"{file} has the SHA-256 {digest}, not {_spell(source)} of {source.content}; {advice}"
        )
    try:
        net.load_state_dict(torch.load(file, "cpu", weights_only=True), assign=True)
    except Exception as error:  # foreign bytes can make the unpickler raise anything
        raise LtdmError(
            f"{file} does not hold {source.content} ({type(error).__name__}); {advice}"
        ) from error
    return net.state_dict(), {"sha256": digest}


def _download(source: PublishedWeights, file: Path) -> None:
    """Download the weights to `file`, unless another job has done so; jobs wait for each other."""
    try:
        with FileLock(file.parent / f".{file.name}.lock"):
            if file.exists():
                return
            log.info("downloading %s", source.url)
            torch.hub.download_url_to_file(
                source.url, str(file), hash_prefix=source.sha256, progress=False
            )
    except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: the hash differs
        raise LtdmError(
            f"cannot download {file.name} ({error}); download {source.url} where there is a network"
            f" (SHA-256 {_spell(source)}) and save it as {file}, or elsewhere and set"
            f" {source.options}"
        ) from error


def _spell(source: PublishedWeights) -> str:
    """Return the SHA-256 as text, with dots where only the first digits are known."""
    return source.sha256 + "..." * (len(source.sha256) < 64)
