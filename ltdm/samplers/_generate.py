"""A trained network -> the images of a sample set, in blocks that its numbers alone decide."""

import logging
from collections.abc import Iterator

import numpy as np
import torch

from ltdm.core.blocks import fixed_blocks
from ltdm.core.device import device_name, memory_layout
from ltdm.core.shards import rows_of_shard, split_blocks
from ltdm.diffusion._model import Model
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.progress import Progress
from ltdm.samplers._denoise import denoiser, image_noise
from ltdm.samplers._options import SampleOptions

log = logging.getLogger("ltdm")
BATCH = {"cpu": 64, "cuda": 1000}  # images a call of the network


class SampleGenerator:
    """A network, or one for each class, set up to make the images of one sample set.

    The model comes in the options' precision. `seed` owns the images' noise, together with each
    image's number. A `guide` is a weaker network that guides it. `where` says device, precision and
    layout of the network's calls.
    """

    def __init__(self, model: Model, options: SampleOptions, seed: int, guide: Model | None = None):
        about, device = model.about, model.predictors[0].device
        self.predictors, self.process = model.predictors, model.process
        self.guide = guide.predictors[0] if guide else None
        self.by_label = about["label"] == "network"
        self.options, self.seed, self.device = options, seed, device
        order = str(memory_layout(options.precision, device)).removeprefix("torch.")
        self.where = f"{device_name(device)}, {options.precision}, {order}"
        self.shape = (about["channels"], about["size"], about["size"])
        self.points = about["points"]
        each, most = options.num_images // len(self.predictors), BATCH[device.type]
        self.block = -(-each // -(-each // most))  # blocks as even as can be

    def share(self, labels: np.ndarray, shard: tuple[int, int]) -> np.ndarray:
        """Return the numbers of the images that a shard makes, of a set with these labels."""
        cut = [
            block for mine in self._by_network(labels) for block in split_blocks(mine, self.block)
        ]
        return rows_of_shard(cut, shard)

    def images(self, labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return the images of these numbers and labels, uint8 (N, C, H, W); points are float32."""
        made = np.empty((len(labels), *self.shape), np.float32 if self.points else np.uint8)
        with Progress("sampling", len(labels), "images") as progress:
            for rows, images in self._made(labels, numbers):
                made[rows] = images
                progress.advance(len(rows))
        return made

    def _by_network(self, labels: np.ndarray) -> list[np.ndarray]:
        """Return the positions of the labels that each network is asked for."""
        if self.by_label:
            return [np.flatnonzero(labels == k) for k in range(len(self.predictors))]
        return [np.arange(len(labels))]

    def _made(
        self, labels: np.ndarray, numbers: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield positions and their images, those of each network in blocks of one size."""
        for network, mine in enumerate(self._by_network(labels)):
            done = 0
            while done < len(mine):
                positions, new = next(fixed_blocks(len(mine), self.block, done))
                rows = mine[positions]
                try:
                    images = self.batch(labels[rows], numbers[rows], network)
                except torch.OutOfMemoryError:
                    if self.block == 1:
                        raise
                    self.block //= 2
                    log.info("out of GPU memory: sampling %d images at once from here", self.block)
                    continue
                yield rows[:new], images[:new]
                done += new

    @torch.inference_mode()
    def batch(self, labels: np.ndarray, owners: np.ndarray, network: int = 0) -> np.ndarray:
        """Return one network's images of these numbers and labels, made in one go, (B, C, H, W).

        Raises:
            LtdmError: They are not finite.
        """
        noise = image_noise(self.seed, owners.tolist(), self.shape, self.device)
        on_device = torch.from_numpy(labels).to(self.device)
        predict, sampler = self.predictors[network], self.options.sampler
        denoise = denoiser(predict, self.process, on_device, self.options.guidance, self.guide)
        x = sampler.module.sample(denoise, self.process, noise, sampler.options)
        if not torch.isfinite(x).all():
            raise LtdmError(
                "sampling gave values that are not finite: the network's weights are bad; look at"
                " its history.csv, lower train.lr and train it again"
            )
        if self.points:
            return x.cpu().numpy()
        return (x * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
