"""The FID's network, pytorch-fid's: one pass gives its features and its classes' probabilities.

Images in [0, 1] are resized to 299 x 299 (bilinear) and become 2 x - 1. Features are the 2048 means
over the last layer's positions, probabilities the softmax of the 1008 logits without their bias, as
the first code of the Inception score took them. Always in float32.
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
SIDE, LENGTH, CLASSES = 299, 2048, 1008
BATCH = {"cpu": 8, "cuda": 128}  # images per call; on a CPU more of them leave its cache


def feature_dim(options: Any, channels: int, side: int) -> int:
    """Return the length of a feature vector."""
    return LENGTH


def import_pytorch_fid() -> ModuleType:
    """Return pytorch-fid's module of the network."""
    try:
        from pytorch_fid import inception
    except ModuleNotFoundError as error:
        raise LtdmError(
            f"the Inception features need a package that is not installed ({error.name}); run `pip"
            " install pytorch-fid`"
        ) from error
    return inception


def empty_network() -> Any:
    """Return the network (torchvision's Inception3, as pytorch-fid changes it) without weights."""
    fid = import_pytorch_fid()
    from torchvision.models import Inception3

    # pytorch-fid downloads weights while it builds the network; which ones it gets is for us to say
    with (
        torch.device("meta"),
        patch.object(fid, "load_state_dict_from_url"),
        patch.object(Inception3, "load_state_dict"),
    ):
        return fid.fid_inception_v3().eval()


def load(
    options: Any, weights: dict[str, Tensor], metadata: dict[str, Any], device: torch.device
) -> ExtractFunction:
    """Return the extractor: uint8 images (N, 1 or 3, H, W) to 2048 features, 1008 probabilities."""
    from torchvision.models.inception import BasicConv2d

    net = empty_network()
    net.load_state_dict(weights, assign=True)
    classify, net.fc = net.fc.weight.to(device), nn.Identity()
    for module in net.modules():  # with the fixed normalisations in their weights, a fifth faster
        if isinstance(module, BasicConv2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()
    # Twice as fast on a CPU; float32 on a GPU has its fastest kernels for the common layout.
    layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
    net.to(device, memory_format=layout)
    # TF32 would keep ten bits of each factor, and give other features.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    @torch.inference_mode()
    def extract(images: np.ndarray) -> ExtractorOutput:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise LtdmError(
                "the Inception network reads uint8 images of 1 or 3 channels, not"
                f" {images.dtype} of shape {images.shape[1:]}; take other features for these"
            )
        features = np.empty((len(images), LENGTH), np.float32)
        probabilities = np.empty((len(images), CLASSES), np.float32)
        with Progress("features", len(images), "images") as progress:
            for rows, new in fixed_blocks(len(images), BATCH[device.type]):
                x = torch.from_numpy(images[rows]).to(device).expand(-1, 3, -1, -1)
                pooled = net(_scaled(x, layout))
                features[rows[:new]] = pooled[:new].cpu()
                probabilities[rows[:new]] = (pooled @ classify.T).softmax(1)[:new].cpu()
                progress.advance(new)
        return ExtractorOutput(features, probabilities)

    return extract


def _scaled(images: Tensor, layout: torch.memory_format) -> Tensor:
    """Map uint8 images to [-1, 1], 2 x - 1, and then to the network's side.

    The order does not matter to a linear resize, and the small images are a hundredth of the work.
    """
    x = (images.float() / 255 * 2 - 1).contiguous(memory_format=layout)
    return F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False)
