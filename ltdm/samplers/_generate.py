"""A trained network -> the images of a sample set, in blocks that its numbers alone decide."""

import logging

import numpy as np
import torch

from ltdm.core.blocks import fixed_blocks
from ltdm.core.device import device_name, layout
from ltdm.core.shards import blocks, share
from ltdm.diffusion._model import Model
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.progress import Progress
from ltdm.samplers._denoise import ImageNoise, denoiser
from ltdm.samplers._options import SampleOptions

log = logging.getLogger("ltdm")
BATCH = {"cpu": 64, "cuda": 1000}  # images a call of the network


class SampleGenerator:
    """A network, or one for each class, set up to make the images of one sample set.

    Args:
        model: The network, in the options' precision.
        options: The sample set's.
        seed: Owner of the images' noise, together with each image's number.
        guide: A weaker network that guides it, if one does.

    Attributes:
        where: Device, precision and layout of the network's calls.
    """

    def __init__(
        self, model: Model, options: SampleOptions, seed: int, guide: Model | None = None
    ) -> None:
        about, device = model.about, model.predictors[0].device
        self.predictors, self.process = model.predictors, model.process
        self.guide = guide.predictors[0] if guide else None
        self.by_label = about["label"] == "network"
        self.options, self.seed, self.device = options, seed, device
        order = str(layout(options.precision, device)).removeprefix("torch.")
        self.where = f"{device_name(device)}, {options.precision}, {order}"
        self.shape = (about["channels"], about["size"], about["size"])
        self.points = about["points"]
        each, most = options.images // len(self.predictors), BATCH[device.type]
        self.block = -(-each // -(-each // most))  # blocks as even as can be

    def share(self, labels: np.ndarray, shard: tuple[int, int]) -> np.ndarray:
        """Return the numbers of the images that a shard makes, of a set with these labels."""
        cut = [block for mine in self._by_network(labels) for block in blocks(mine, self.block)]
        return share(cut, shard)

    def images(self, labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return the images with these numbers and labels, uint8 (N, C, H, W).

        Points are float32.
        """
        kind = np.float32 if self.points else np.uint8
        made = np.empty((len(labels), *self.shape), kind)
        with Progress("sampling", len(labels), "images") as progress:
            for network, mine in enumerate(self._by_network(labels)):
                self._fill(made, labels, numbers, network, mine, progress)
        return made

    def _by_network(self, labels: np.ndarray) -> list[np.ndarray]:
        """Return the positions of the labels that each network is asked for."""
        if self.by_label:
            return [np.flatnonzero(labels == k) for k in range(len(self.predictors))]
        return [np.arange(len(labels))]

    def _fill(
        self,
        made: np.ndarray,
        labels: np.ndarray,
        numbers: np.ndarray,
        network: int,
        mine: np.ndarray,
        progress: Progress,
    ) -> None:
        """Make one network's images, in blocks of one size."""
        done = 0
        while done < len(mine):
            positions, new = next(fixed_blocks(len(mine), self.block, done))
            rows = mine[positions]
            try:
                made[rows[:new]] = self.batch(labels[rows], numbers[rows], network)[:new]
            except torch.OutOfMemoryError:
                if self.block == 1:
                    raise
                self.block //= 2
                log.info("out of GPU memory: sampling %d images at once from here", self.block)
                continue
            done += new
            progress.advance(new)

    @torch.inference_mode()
    def batch(self, labels: np.ndarray, owners: np.ndarray, network: int = 0) -> np.ndarray:
        """Return one network's images of these numbers and labels, made in one go, (B, C, H, W).

        Raises:
            LtdmError: They are not finite.
        """
        noise = ImageNoise(self.seed, owners.tolist(), self.shape, self.device)
        on_device = torch.from_numpy(labels).to(self.device)
        predict = self.predictors[network]
        weight = self.options.guidance
        denoise = denoiser(predict, self.process, on_device, weight, self.guide)
        sampler = self.options.sampler
        x = sampler.module.sample(denoise, self.process, noise, sampler.options)
        if not torch.isfinite(x).all():
            raise LtdmError(
                "sampling gave values that are not finite: the network's weights are bad; look at"
                " its history.csv, lower train.lr and train it again"
            )
        if self.points:
            return x.cpu().numpy()
        return (x * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
