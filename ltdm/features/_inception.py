"""The Inception network of the FID, from pytorch-fid: features and class probabilities in one pass.

Images x in [0, 1] are resized to 299 x 299 (bilinear) and mapped to 2 x - 1. The features are the
2048 means of the last layer over positions. The probabilities are the softmax of the 1008 logits
without their bias, as in the first code of the Inception score. All of it is in float32.
Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016;
Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
NeurIPS 2017.
"""

from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from ltdm.core.blocks import fixed_blocks
from ltdm.features._base import ExtractFunction, ExtractorOutput
from ltdm.plumbing.citations import HEUSEL2017
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.progress import Progress

CITATION = (
    HEUSEL2017
    + """
@inproceedings{szegedy2016inception,
  title={Rethinking the Inception Architecture for Computer Vision},
  author={Szegedy, Christian and Vanhoucke, Vincent and Ioffe, Sergey and Shlens, Jonathon and
    Wojna, Zbigniew}, booktitle={CVPR}, year={2016}}"""
)
PROBABILITIES = "imagenet"
SUPPORTS_POINTS = False
USES_GPU = True
RESOLUTION, FEATURE_DIM, CLASSES = 299, 2048, 1008
BATCH_SIZE = {"cpu": 8, "cuda": 128}  # images per call; more do not fit a CPU's cache


def feature_dim(options: Any, channels: int, resolution: int) -> int:
    """Return the length of a feature vector, 2048."""
    return FEATURE_DIM


def import_pytorch_fid() -> ModuleType:
    """Return pytorch-fid's module of the network; raise LtdmError if it is not installed."""
    try:
        from pytorch_fid import inception
    except ModuleNotFoundError as error:
        raise LtdmError(
            f"the Inception features need a package that is not installed ({error.name}); run `pip"
            " install pytorch-fid`"
        ) from error
    return inception


def empty_network() -> Any:
    """Return the network without weights: torchvision's Inception3 with pytorch-fid's changes."""
    fid = import_pytorch_fid()
    from torchvision.models import Inception3

    # pytorch-fid would download weights while it builds the network; ours come from the caller.
    with (
        torch.device("meta"),
        patch.object(fid, "load_state_dict_from_url"),
        patch.object(Inception3, "load_state_dict"),
    ):
        return fid.fid_inception_v3().eval()


def load(
    options: Any, weights: dict[str, Tensor], metadata: dict[str, Any], device: torch.device
) -> ExtractFunction:
    """Return the function from images to 2048 features and 1008 class probabilities.

    It takes uint8 images (N, 1 or 3, H, W) and raises LtdmError for others.
    """
    from torchvision.models.inception import BasicConv2d

    net = empty_network()
    net.load_state_dict(weights, assign=True)
    classify, net.fc = net.fc.weight.to(device), nn.Identity()
    for module in net.modules():  # a fifth faster with the normalisations fused into the weights
        if isinstance(module, BasicConv2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()
    # Channels last is twice as fast on a CPU; on a GPU the contiguous layout is faster in float32.
    layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
    net.to(device, memory_format=layout)
    # TF32 rounds each factor to ten bits, which would change the features.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    @torch.inference_mode()
    def extract(images: np.ndarray) -> ExtractorOutput:
        _check_images(images)
        features = np.empty((len(images), FEATURE_DIM), np.float32)
        probabilities = np.empty((len(images), CLASSES), np.float32)
        with Progress("features", len(images), "images") as progress:
            for rows, new in fixed_blocks(len(images), BATCH_SIZE[device.type]):
                x = torch.from_numpy(images[rows]).to(device).expand(-1, 3, -1, -1)
                pooled = net(_resize(x, layout))
                features[rows[:new]] = pooled[:new].cpu()
                probabilities[rows[:new]] = (pooled @ classify.T).softmax(1)[:new].cpu()
                progress.advance(new)
        return ExtractorOutput(features, probabilities)

    return extract


def _check_images(images: np.ndarray) -> None:
    """Raise LtdmError unless images are uint8 (N, 1 or 3, H, W)."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise LtdmError(
            "the Inception network needs uint8 images of 1 or 3 channels, not"
            f" {images.dtype} of shape {images.shape[1:]}; choose another extractor for these"
        )


def _resize(images: Tensor, layout: torch.memory_format) -> Tensor:
    """Map uint8 images to [-1, 1] by 2 x - 1, then resize them to the network's resolution.

    A linear resize commutes with the scaling. Scaling first costs a hundredth for small images.
    """
    x = (images.float() / 255 * 2 - 1).contiguous(memory_format=layout)
    return F.interpolate(x, (RESOLUTION, RESOLUTION), mode="bilinear", align_corners=False)
