"""VGG16 of torchvision, as far as its second fully connected layer (fc2) and that layer's ReLU.

Images x in [0, 1] are resized to 224 x 224 (bilinear, between pixel centres, no antialiasing) and
normalised by ImageNet's mean and standard deviation per channel, as torchvision's training did. The
features are 4096 numbers, never negative. All of it is in float32, without dropout.
"""

from typing import Any

import torch
from torch import Tensor

from ltdm.features._base import ExtractFunction
from ltdm.features._image_network import extract_function, memory_layout, resize

CITATION = """@inproceedings{simonyan2015vgg,
  title={Very Deep Convolutional Networks for Large-Scale Image Recognition},
  author={Simonyan, Karen and Zisserman, Andrew}, booktitle={ICLR}, year={2015}}
@inproceedings{kynkaanniemi2019improved,
  title={Improved Precision and Recall Metric for Assessing Generative Models},
  author={Kynk{\\"a}{\\"a}nniemi, Tuomas and Karras, Tero and Laine, Samuli and Lehtinen, Jaakko and
    Aila, Timo}, booktitle={NeurIPS}, year={2019}}"""
PROBABILITIES = ""
SUPPORTS_POINTS = False
USES_GPU = True
RESOLUTION, FEATURE_DIM = 224, 4096
LAYERS = 5  # of torchvision's `classifier`: fc1, ReLU, dropout, fc2, ReLU
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as in torchvision
BATCH_SIZE = {"cpu": 4, "cuda": 128}  # images per call; more are no faster on a CPU


def feature_dim(options: Any, channels: int, resolution: int) -> int:
    """Return the length of a feature vector, 4096."""
    return FEATURE_DIM


def empty_network() -> Any:
    """Return torchvision's VGG16 without weights, on PyTorch's meta device."""
    from torchvision.models import vgg16

    with torch.device("meta"):
        return vgg16(init_weights=False).eval()


def load(
    options: Any, weights: dict[str, Tensor], metadata: dict[str, Any], device: torch.device
) -> ExtractFunction:
    """Return the function from images to 4096 features.

    It takes uint8 images (N, 1 or 3, H, W) and raises LtdmError for others.
    """
    net = empty_network()
    net.load_state_dict(weights, assign=True)
    net.classifier = net.classifier[:LAYERS]
    net.to(device, memory_format=memory_layout(device))
    mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (MEAN, STD))

    def compute(images: Tensor) -> tuple[Tensor]:
        # A linear resize commutes with the normalisation, which costs less for small images.
        return (net(resize((images.float() / 255 - mean) / std, RESOLUTION)),)

    return extract_function("VGG16", compute, (FEATURE_DIM,), BATCH_SIZE[device.type], device)
