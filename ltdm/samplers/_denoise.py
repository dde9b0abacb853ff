"""From a network to `denoise(x, level) -> x0-hat`, with classifier-free guidance if asked for."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from ltdm.core.seeding import derive
from ltdm.diffusion._base import Process

Predict = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A network: F from what it sees, levels and labels."""
Denoise = Callable[[Tensor, float], Tensor]
"""The estimate of the clean image, from x (B, C, H, W) at one level for the whole batch."""


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

    def plain(x: Tensor, level: float) -> Tensor:
        levels = process.batch_of(level, len(x))
        return process.denoised(predict(*process.inputs(x, levels), labels), x, levels)

    def guided(x: Tensor, level: float) -> Tensor:
        levels = process.batch_of(level, 2 * len(x))
        twice = torch.cat([x, x])
        both = torch.cat([labels, torch.full_like(labels, -1)])
        denoised = process.denoised(predict(*process.inputs(twice, levels), both), twice, levels)
        with_label, without = denoised.chunk(2)
        return with_label + guidance * (with_label - without)

    def guided_by(weaker: Predict, x: Tensor, level: float) -> Tensor:
        levels = process.batch_of(level, len(x))
        seen = process.inputs(x, levels)
        said, bad = (process.denoised(net(*seen, labels), x, levels) for net in (predict, weaker))
        return said + guidance * (said - bad)

    if guide:
        return partial(guided_by, guide)
    return guided if guidance > 0 else plain


class ImageNoise:
    """Standard normal noise in which image i has a stream of its own.

    So an image does not depend on which others share its batch. Draws after the first come in
    blocks of steps, since a call of the generator costs more than the numbers it makes.
    """

    BLOCK = 16

    def __init__(self, seed: int, images: list[int], shape: tuple[int, ...], device: torch.device):
        self.shape, self.device = shape, device
        self.generators = [
            torch.Generator(device).manual_seed(derive("image", seed, i)) for i in images
        ]
        self.stream = self._stream()

    def __call__(self) -> Tensor:
        """Return the next noise of every image, shape (B, *shape)."""
        return next(self.stream)

    def _draw(self, steps: int) -> Tensor:
        shape = (steps, *self.shape)
        draws = [torch.randn(shape, generator=g, device=self.device) for g in self.generators]
        return torch.stack(draws, dim=1)

    def _stream(self) -> Iterator[Tensor]:
        yield from self._draw(1)
        while True:
            yield from self._draw(self.BLOCK)
