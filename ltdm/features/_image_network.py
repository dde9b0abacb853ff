"""What networks for photographs share: the check of images, their resizing, and batches."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ltdm.core.blocks import fixed_blocks
from ltdm.features._base import ExtractFunction, ExtractorOutput
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.progress import Progress


def memory_layout(device: torch.device) -> torch.memory_format:
    """Return the layout of images and weights that is faster on a device in float32.

    On a CPU channels last is up to twice as fast, on a GPU the contiguous layout is faster.
    """
    return torch.channels_last if device.type == "cpu" else torch.contiguous_format


def resize(images: Tensor, resolution: int) -> Tensor:
    """Resize images (B, C, H, W) to squares: bilinear, between pixel centres, no antialiasing."""
    x = images.contiguous(memory_format=memory_layout(images.device))
    return F.interpolate(x, (resolution, resolution), mode="bilinear", align_corners=False)


def extract_function(
    name: str,
    compute: Callable[[Tensor], Sequence[Tensor]],
    lengths: Sequence[int],
    batch_size: int,
    device: torch.device,
) -> ExtractFunction:
    """Return the function from uint8 images (N, 1 or 3, H, W) to the outputs of a network.

    `compute` maps uint8 images (B, 3, H, W) on the device, always `batch_size` of them, to the
    fields of `ExtractorOutput`, (B, length) for each of the `lengths`. A single channel is
    repeated. The function raises LtdmError for other images, in which `name` is the network's.
    """
    # TF32 rounds each factor to ten bits, which would change the features.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    @torch.inference_mode()
    def extract(images: np.ndarray) -> ExtractorOutput:
        _check_images(name, images)
        outputs: list[Any] = [np.empty((len(images), length), np.float32) for length in lengths]
        with Progress("features", len(images), "images") as progress:
            for rows, new in fixed_blocks(len(images), batch_size):
                x = torch.from_numpy(images[rows]).to(device).expand(-1, 3, -1, -1)
                for output, values in zip(outputs, compute(x), strict=True):
                    output[rows[:new]] = values[:new].cpu()
                progress.advance(new)
        return ExtractorOutput(*outputs)

    return extract


def _check_images(name: str, images: np.ndarray) -> None:
    """Raise LtdmError unless images are uint8 (N, 1 or 3, H, W)."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise LtdmError(
            f"the {name} network needs uint8 images of 1 or 3 channels, not"
            f" {images.dtype} of shape {images.shape[1:]}; choose another extractor for these"
        )
