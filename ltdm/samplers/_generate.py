"""Generation of a sample set by a trained network, in blocks that depend on image numbers alone."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ltdm.core.blocks import fixed_blocks
from ltdm.core.device import device_name, memory_layout
from ltdm.core.shards import rows_of_shard, split_blocks
from ltdm.diffusion._model import Model
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.progress import Progress
from ltdm.samplers._denoise import Weight, denoiser, image_noise
from ltdm.samplers._guidance import class_guidance
from ltdm.samplers._options import SampleOptions

log = logging.getLogger("ltdm")
MAX_BATCH = {"cpu": 64, "cuda": 1000}  # images per call of the network


class SampleGenerator:
    """A network, or one per class, that generates the images of one sample set.

    The model must have the options' precision. An image's noise depends on `seed` and the image's
    number. A `guide` is a weaker network that guides the sampling. `class_counts` are the training
    images per class, which the option `guidance_power` needs.

    Attributes:
        hardware: Device, precision and memory layout of the network's calls, for records.
        network_per_class: Whether labels select the network.

    Raises:
        LtdmError: `guidance_power` is set, and there is not one count for each class.
    """

    def __init__(
        self,
        model: Model,
        options: SampleOptions,
        seed: int,
        guide: Model | None = None,
        class_counts: Sequence[int] = (),
    ):
        metadata, device = model.metadata, model.predictors[0].device
        self.predictors, self.process = model.predictors, model.process
        self.guide = guide.predictors[0] if guide else None
        self.network_per_class = metadata["label"] == "network"
        self.options, self.seed, self.device = options, seed, device
        self.levels = options.sampler.module.noise_levels(self.process, options.sampler.options)
        order = str(memory_layout(options.precision, device)).removeprefix("torch.")
        self.hardware = f"{device_name(device)}, {options.precision}, {order}"
        self.shape = (metadata["channels"], metadata["size"], metadata["size"])
        self.is_points = metadata["points"]
        self.class_guidance: Tensor | None = None
        if options.guidance_power:
            if len(class_counts) != metadata["classes"]:
                raise LtdmError(
                    f"sample.guidance_power needs the training images of {metadata['classes']}"
                    f" classes, and {len(class_counts)} counts are given; sample with the config of"
                    " the network's data set, or set guidance_power to 0"
                )
            weights = class_guidance(options.guidance, options.guidance_power, class_counts)
            self.class_guidance = torch.tensor(weights, device=device)
        per_network, max_batch = options.num_images // len(self.predictors), MAX_BATCH[device.type]
        calls = -(-per_network // max_batch)
        self.block_size = -(-per_network // calls)  # as even as possible

    def rows_of_shard(self, labels: np.ndarray, shard: tuple[int, int]) -> np.ndarray:
        """Return the image numbers of shard i of n, (i, n), in a set with labels (N,)."""
        blocks = [
            block
            for own_rows in self._rows_per_network(labels)
            for block in split_blocks(own_rows, self.block_size)
        ]
        return rows_of_shard(blocks, shard)

    def generate(self, labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return the images with these labels and image numbers, (N,) each.

        They are uint8 (N, C, H, W), or float32 points (N, d, 1, 1).
        """
        result = np.empty((len(labels), *self.shape), np.float32 if self.is_points else np.uint8)
        with Progress("sampling", len(labels), "images") as progress:
            for rows, images in self._generate_blocks(labels, numbers):
                result[rows] = images
                progress.advance(len(rows))
        return result

    def _rows_per_network(self, labels: np.ndarray) -> list[np.ndarray]:
        """Return, for each network, the positions in `labels` of the images that it generates."""
        if self.network_per_class:
            return [np.flatnonzero(labels == k) for k in range(len(self.predictors))]
        return [np.arange(len(labels))]

    def _generate_blocks(
        self, labels: np.ndarray, numbers: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield positions and their images, in blocks of one size per network."""
        for network, own_rows in enumerate(self._rows_per_network(labels)):
            done = 0
            while done < len(own_rows):
                positions, new = next(fixed_blocks(len(own_rows), self.block_size, done))
                rows = own_rows[positions]
                try:
                    images = self.generate_batch(labels[rows], numbers[rows], network)
                except torch.OutOfMemoryError:
                    if self.block_size == 1:
                        raise
                    self.block_size //= 2
                    log.info("out of GPU memory: now %d images per call", self.block_size)
                    continue
                yield rows[:new], images[:new]
                done += new

    def _weight(self, labels: Tensor) -> Weight:
        """Return the weight of guidance by level, for images with these labels (B,)."""
        if self.class_guidance is None:
            return partial(self.options.guidance_weight, self.process)
        weights = self.class_guidance[labels].reshape(-1, 1, 1, 1)
        return partial(self.options.guidance_schedule.weight, weights, self.process)

    @torch.inference_mode()
    def generate_batch(
        self, labels: np.ndarray, numbers: np.ndarray, network: int = 0
    ) -> np.ndarray:
        """Return the images with these labels and numbers, (B,), by one network and sampler call.

        Raises:
            LtdmError: An image is not finite.
        """
        noise = image_noise(self.seed, numbers.tolist(), self.shape, self.device)
        on_device = torch.from_numpy(labels).to(self.device)
        predict, sampler = self.predictors[network], self.options.sampler
        weight = self._weight(on_device)
        denoise = denoiser(predict, self.process, on_device, weight, self.guide)
        x = sampler.module.sample(denoise, self.process, noise, self.levels, sampler.options)
        if not torch.isfinite(x).all():
            raise LtdmError(
                "sampling gave values that are not finite: the network's weights are bad; see its"
                " history.csv, lower train.lr and train again"
            )
        if self.is_points:
            return x.cpu().numpy()
        return (x * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
