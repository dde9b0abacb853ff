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

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from ltdm.features._base import ExtractFunction
from ltdm.features._image_network import extract_function, memory_layout, resize
from ltdm.plumbing.citations import HEUSEL2017
from ltdm.plumbing.errors import LtdmError

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
    net.to(device, memory_format=memory_layout(device))

    def compute(images: Tensor) -> tuple[Tensor, Tensor]:
        # A linear resize commutes with the scaling, which costs a hundredth for small images.
        features = net(resize(images.float() / 255 * 2 - 1, RESOLUTION))
        return features, (features @ classify.T).softmax(1)

    batch_size = BATCH_SIZE[device.type]
    return extract_function("Inception", compute, (FEATURE_DIM, CLASSES), batch_size, device)
