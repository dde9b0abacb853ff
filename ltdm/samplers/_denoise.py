"""From a network to `denoise(x, level) -> x0-hat`, with classifier-free guidance if asked for."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, repeat

import torch
from torch import Tensor

from ltdm.core.seeding import derive_seed
from ltdm.diffusion._base import Process

Predict = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A network: F from what it sees, levels and labels."""
Denoise = Callable[[Tensor, float], Tensor]
"""The estimate of the clean image, from x (B, C, H, W) at one level for the whole batch."""
Noise = Callable[[], Tensor]
"""The next standard normal noise, (B, C, H, W)."""
BLOCK = 16  # draws of noise at once, after the first


def denoiser(
    predict: Predict,
    process: Process,
    labels: Tensor,
    guidance: float,
    guide: Predict | None = None,
) -> Denoise:
    """Return the conditional denoiser, guided by w = `guidance`: D + w (D - D_null).

    Guidance costs one call of twice the batch. Source: Ho and Salimans, "Classifier-Free Diffusion
    Guidance", 2022, equation 6, where w is the same; EDM2 writes g = 1 + w.

    With a `guide`, a weaker network, D_null is what that says under the same labels. Source: Karras
    et al., "Guiding a Diffusion Model with a Bad Version of Itself", NeurIPS 2024, equation 1.
    """

    def asked(net: Predict, x: Tensor, level: float, labels: Tensor) -> Tensor:
        levels = process.batch_of(level, len(x))
        return process.denoised(net(*process.inputs(x, levels), labels), x, levels)

    def denoise(x: Tensor, level: float) -> Tensor:
        if guide:
            said, other = (asked(net, x, level, labels) for net in (predict, guide))
        elif guidance > 0:
            both = torch.cat([labels, torch.full_like(labels, -1)])
            said, other = asked(predict, torch.cat([x, x]), level, both).chunk(2)
        else:
            return asked(predict, x, level, labels)
        return said + guidance * (said - other)

    return denoise


def image_noise(
    seed: int, images: list[int], shape: tuple[int, ...], device: torch.device
) -> Noise:
    """Return noise (B, *shape) in which image i has a stream of its own.

    So an image does not depend on which others share its batch. Draws after the first come in
    blocks of steps, since a call of the generator costs more than the numbers it makes.
    """
    generators = [
        torch.Generator(device).manual_seed(derive_seed("image", seed, i)) for i in images
    ]

    def stream() -> Iterator[Tensor]:
        for steps in chain([1], repeat(BLOCK)):
            draws = [torch.randn((steps, *shape), generator=g, device=device) for g in generators]
            yield from torch.stack(draws, dim=1)

    return partial(next, stream())
