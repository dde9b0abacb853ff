"""The pixels scaled to [0, 1] and flattened, without a network."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ltdm.features._base import ExtractFunction, ExtractorOutput

CITATION = ""
PROBABILITIES = ""
SUPPORTS_POINTS = True
USES_GPU = False


@dataclass(frozen=True)
class Options:
    """No options."""


def feature_dim(options: Options, channels: int, resolution: int) -> int:
    """Return the number of pixel values per image."""
    return channels * resolution * resolution


def prepare(
    options: Options, images: np.ndarray, labels: np.ndarray, device: None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return no weights and no metadata."""
    return {}, {}


def load(
    options: Options, weights: dict[str, Any], metadata: dict[str, Any], device: None
) -> ExtractFunction:
    """Return the function from uint8 images (N, C, H, W) to (N, C H W); points are not scaled."""

    def extract(images: np.ndarray) -> ExtractorOutput:
        flat = images.reshape(len(images), -1).astype(np.float32)
        return ExtractorOutput(flat / 255 if images.dtype == np.uint8 else flat)

    return extract
