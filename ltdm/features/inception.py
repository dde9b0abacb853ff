"""Inception v3 with the FID's weights: the Frechet distance of its features is the FID.

The weights are those of the TensorFlow graph of 2015-12-05 that defines the FID, as ported by
pytorch-fid. A file with another SHA-256 is rejected.
Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium", NeurIPS 2017.
"""

import logging
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from ltdm.features import _inception
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import sha256
from ltdm.plumbing.options import option

log = logging.getLogger("ltdm")
CITATION = _inception.CITATION
PROBABILITIES = _inception.PROBABILITIES
SUPPORTS_POINTS, USES_GPU = _inception.SUPPORTS_POINTS, _inception.USES_GPU
feature_dim, load = _inception.feature_dim, _inception.load
FILE = "data/pt_inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


@dataclass(frozen=True)
class Options:
    """Location of the weights."""

    path: str | None = option(
        None,
        f"File of the weights; by default `{FILE}`, downloaded if it is missing.",
        location=True,
    )


def check(options: Options) -> None:
    """Check that `path`, if set, is a file.

    Raises:
        OptionError: It is not.
    """
    if options.path is not None and not Path(options.path).is_file():
        raise OptionError(
            ("path",),
            f"there is no file {options.path!r}; correct it, or leave `path` out to download the"
            f" weights to {FILE}",
        )


def prepare(
    options: Options, images: np.ndarray, labels: np.ndarray, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the FID's weights and the SHA-256 of their file; images and labels are not used."""
    check(options)
    net, file = _inception.empty_network(), Path(FILE if options.path is None else options.path)
    advice = "delete it to download it again" if options.path is None else "fix `path`"
    if options.path is None and not file.exists():
        _download(file)
    if (digest := sha256(file)) != SHA256:
        raise LtdmError(
            f"{file} has the SHA-256 {digest}, but the FID's weights have {SHA256}; {advice}"
        )
    try:
        net.load_state_dict(torch.load(file, "cpu", weights_only=True), assign=True)
    except Exception as error:  # foreign bytes can make the unpickler raise anything
        raise LtdmError(
            f"{file} does not hold the FID network's weights ({type(error).__name__}); {advice}"
        ) from error
    return net.state_dict(), {"sha256": SHA256}


def _download(file: Path) -> None:
    """Download the weights to `file`, unless another job has done so; jobs wait for each other."""
    url = _inception.import_pytorch_fid().FID_WEIGHTS_URL
    try:
        with FileLock(file.parent / ".inception.lock"):
            if file.exists():
                return
            log.info("downloading %s", url)
            torch.hub.download_url_to_file(url, str(file), hash_prefix=SHA256, progress=False)
    except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: the hash differs
        raise LtdmError(
            f"cannot download {file.name} ({error}); download {url} where there is a network"
            f" (SHA-256 {SHA256}) and save it as {file}, or elsewhere and set `path`"
        ) from error
