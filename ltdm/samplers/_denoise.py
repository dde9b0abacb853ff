"""Denoisers `denoise(x, level) -> x0-hat` made of networks, with guidance or without."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, repeat
from typing import Protocol

import torch
from torch import Tensor

from ltdm.core.seeding import derive_seed
from ltdm.diffusion._base import Process

Predict = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A network: F (B, C, H, W) from noisy images (B, C, H, W), levels (B,) and labels (B,)."""
Weight = Callable[[float], float | Tensor]
"""The weight of guidance at a level: one for all images, or one each, (B, 1, 1, 1)."""
Noise = Callable[[], Tensor]
"""Source of standard normal noise: each call returns the next (B, C, H, W)."""
NOISE_BLOCK = 16  # sampler steps whose noise is drawn in one call, after the first


class Denoise(Protocol):
    """The estimate of the clean images from noisy ones.

    `level` is the sampler's, the same for all images, and sets the weight of guidance. `levels`
    (B,) are the images' own, which the network is conditioned on; None if they are all `level`.
    """

    def __call__(self, x: Tensor, level: float, levels: Tensor | None = None) -> Tensor:
        """Return the estimates (B, C, H, W) from x (B, C, H, W)."""


def denoiser(
    predict: Predict,
    process: Process,
    labels: Tensor,
    weight: Weight,
    guide: Predict | None = None,
) -> Denoise:
    """Return the denoiser under labels (B,), guided by the `weight` w: D + w (D - D_null).

    D_null is the network without labels. Guidance costs one call of twice the batch; at a level
    where w is 0, D_null is not evaluated. Source: Ho and Salimans, "Classifier-Free Diffusion
    Guidance", 2022, equation 6, with the same w; EDM2 writes g = 1 + w.

    With a `guide`, D_null is that weaker network under the same labels. Source: Karras et al.,
    "Guiding a Diffusion Model with a Bad Version of Itself", NeurIPS 2024, equation 1.
    """

    def estimate(net: Predict, x: Tensor, levels: Tensor, labels: Tensor) -> Tensor:
        return process.to_denoised(net(*process.network_inputs(x, levels), labels), x, levels)

    def denoise(x: Tensor, level: float, levels: Tensor | None = None) -> Tensor:
        w = weight(level)
        if levels is None:
            levels = process.level_tensor(level, len(x))
        if not isinstance(w, Tensor) and w == 0:
            return estimate(predict, x, levels, labels)
        if guide:
            D, D_null = (estimate(net, x, levels, labels) for net in (predict, guide))
        else:
            both = torch.cat([labels, torch.full_like(labels, -1)])
            D, D_null = estimate(predict, torch.cat([x, x]), levels.repeat(2), both).chunk(2)
        return D + w * (D - D_null)

    return denoise


def image_noise(
    seed: int, images: list[int], shape: tuple[int, ...], device: torch.device
) -> Noise:
    """Return the source of noise (B, *shape) in which each image number has its own generator.

    So an image does not depend on the others in its batch. After the first, draws for several
    sampler steps come in one call, since a call costs more than its numbers.
    """
    generators = [
        torch.Generator(device).manual_seed(derive_seed("image", seed, i)) for i in images
    ]

    def stream() -> Iterator[Tensor]:
        for steps in chain([1], repeat(NOISE_BLOCK)):
            draws = [torch.randn((steps, *shape), generator=g, device=device) for g in generators]
            yield from torch.stack(draws, dim=1)

    return partial(next, stream())
