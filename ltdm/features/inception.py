"""Inception v3 with the FID's weights: a Frechet distance in its features is a FID.

The weights are those of the TensorFlow graph of 2015-12-05 that defines the FID, ported by
pytorch-fid; a file with any other SHA-256 is refused.
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
READS_POINTS, RUNS_NETWORK = _inception.READS_POINTS, _inception.RUNS_NETWORK
length, build = _inception.length, _inception.build
FILE = "data/pt_inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


@dataclass(frozen=True)
class Options:
    """Where the weights lie."""

    path: str | None = option(
        None,
        f"File of the weights; left out, `{FILE}`, downloaded if it is missing.",
        location=True,
    )


def check(options: Options) -> None:
    """Look whether `path`, where it is given, names a file."""
    if options.path is not None and not Path(options.path).is_file():
        raise OptionError(
            ("path",),
            f"there is no file {options.path!r}; fix it, or leave `path` out and the weights are"
            f" downloaded to {FILE}",
        )


def fit(
    options: Options, images: np.ndarray, labels: np.ndarray, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the FID's weights and their file's SHA-256; the images do not matter."""
    check(options)
    net, file = _inception.outline(), Path(FILE if options.path is None else options.path)
    advice = "delete it to have it downloaded anew" if options.path is None else "fix `path`"
    if options.path is None and not file.exists():
        _download(file)
    if (found := sha256(file)) != SHA256:
        raise LtdmError(
            f"{file} has the SHA-256 {found}, but the FID's weights have {SHA256}; {advice}"
        )
    try:
        net.load_state_dict(torch.load(file, "cpu", weights_only=True), assign=True)
    except Exception as error:  # bytes of another kind may lead the reader to any
        raise LtdmError(
            f"{file} does not hold the FID network's weights ({type(error).__name__}); {advice}"
        ) from error
    return net.state_dict(), {"sha256": SHA256}


def _download(file: Path) -> None:
    """Download the weights, unless another job does or did."""
    url = _inception.library().FID_WEIGHTS_URL
    try:
        with FileLock(file.parent / ".inception.lock"):
            if file.exists():
                return
            log.info("downloading %s", url)
            torch.hub.download_url_to_file(url, str(file), hash_prefix=SHA256, progress=False)
    except (OSError, HTTPException, RuntimeError) as error:  # the last: it is another file
        raise LtdmError(
            f"cannot download {file.name} ({error}); download {url} where there is a network"
            f" (SHA-256 {SHA256}) and save it as {file}, or elsewhere and set `path`"
        ) from error
