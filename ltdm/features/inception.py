"""Inception v3 with the FID's weights: the Frechet distance of its features is the FID.

The weights are those of the TensorFlow graph of 2015-12-05 that defines the FID, as ported by
pytorch-fid. A file with another SHA-256 is rejected. Its first eight digits are in pytorch-fid's
file name; all are in snap-research/discoscene (models/inception_model.py at 3b15039).
Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium", NeurIPS 2017.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltdm.features import _inception
from ltdm.features._weight_file import PublishedWeights, check_path, read_weights
from ltdm.plumbing.options import option

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
    check_path(options.path, FILE)


def prepare(
    options: Options, images: np.ndarray, labels: np.ndarray, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the FID's weights and the SHA-256 of their file; images and labels are not used."""
    net, url = _inception.empty_network(), _inception.import_pytorch_fid().FID_WEIGHTS_URL
    content = "the FID network's weights"
    return read_weights(net, PublishedWeights(content, url, FILE, SHA256, options.path))
