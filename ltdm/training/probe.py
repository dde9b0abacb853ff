"""The linear probe: linear classifiers on the features of a frozen network for noisy images.

There is one classifier per noise level and layer. Each batch passes through the network once per
level, under the null label, up to the deepest requested layer; all classifiers are trained on it at
once, each as if it were alone. A feature is the mean over positions of a decoder block's output.
Source: Xiang et al., "Denoising Diffusion Autoencoders are Unified Self-supervised Learners",
ICCV 2023, section 4.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from ltdm.core.seeding import derive_seed
from ltdm.diffusion._base import Process
from ltdm.networks._predictor import Predictor
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.options import option
from ltdm.plumbing.progress import Progress

NUM_LEVELS, RHO = 18, 7.0  # the sampler's noise levels, of which the probe uses some


@dataclass(frozen=True)
class ProbeOptions:
    """Noise levels and layers at which a network is probed, and the classifiers' training."""

    noise_levels: tuple[int, ...] = option(
        (4,),
        "Noise levels, by number among the sampler's 18, of which 1 is the cleanest.",
        low=1,
        high=NUM_LEVELS,
    )
    layers: tuple[int, ...] = option(
        (6,), "Blocks of the network's decoder, counted from 1: 6 is `out_6`.", low=1
    )
    epochs: int = option(15, "Passes over the training images.", low=1)
    batch_size: int = option(128, "Images per step, however many GPUs trained the network.", low=1)
    lr: float = option(
        1e-3, "Learning rate of Adam, which falls along a cosine from epoch to epoch.", above=0
    )
    train_on: str = option(
        "balanced",
        "Labelled images that the classifiers are trained on: the balanced reference, or the"
        " long-tailed training set.",
        choices=("balanced", "long-tailed"),
    )
    flip: bool = option(True, "Whether half of the training images are mirrored.")
    weights: str = option("ema", "Averaged weights or the last ones.", choices=("ema", "last"))
    seed: int = option(0, "Seed of every draw, the same for all networks.", low=0)

    def __post_init__(self) -> None:
        """Refuse lists that are empty or repeat an entry."""
        for name, entries in (("noise_levels", self.noise_levels), ("layers", self.layers)):
            if not entries or len(set(entries)) < len(entries):
                raise OptionError((name,), "must name at least one, and none twice")

    def evaluations(self, num_images: int) -> int:
        """Return the network evaluations for this many labelled images, up to the deepest layer."""
        return len(self.noise_levels) * num_images * (self.epochs + 1)


def levels_of(process: Process, numbers: tuple[int, ...]) -> list[float]:
    """Return the process's noise levels, by their numbers from the clean end of the sampler's 18.

    Raises:
        LtdmError: The process has fewer levels.
    """
    schedule = process.karras_levels(NUM_LEVELS, RHO)
    return [schedule[NUM_LEVELS - number] for number in numbers]


class LabelledImages(NamedTuple):
    """Images on the device, uint8 (N, C, H, W) or float32 points, and their labels (N,)."""

    images: Tensor
    labels: Tensor

    @classmethod
    def to_device(
        cls, device: torch.device, images: np.ndarray, labels: np.ndarray
    ) -> "LabelledImages":
        """Copy images and labels to a device."""
        return cls(torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device))

    def scaled(self, rows: Tensor) -> Tensor:
        """Return images (B, C, H, W), in [-1, 1]; points are not scaled."""
        x = self.images[rows]
        return x.float() / 127.5 - 1 if x.dtype == torch.uint8 else x


class Probe:
    """The classifiers of V noise levels and L layers.

    The network is in eval mode, and its process on the same device. `shape` is an image's, without
    the batch.

    Attributes:
        levels: The V noise levels, in the process's terms.
        sigmas: Their ratios of noise to signal.
        feature_dims: Length of each of the L layers' features.
        weights: A layer's classifiers at all levels, (V, feature_dim, classes) for each layer.
        biases: Their biases, (V, 1, classes) for each layer.
    """

    def __init__(
        self,
        predict: Predictor,
        process: Process,
        options: ProbeOptions,
        classes: int,
        shape: tuple[int, ...],
    ):
        self.predict, self.process, self.options = predict, process, options
        self.levels = levels_of(process, options.noise_levels)
        self.sigmas = [
            float(process.sigma(process.level_tensor(level, 1))) for level in self.levels
        ]
        x = torch.zeros((1, *shape), device=predict.device)
        self.feature_dims = [features.shape[2] for features in self.features(x, x)]
        self.weights, self.biases = [], []
        for layer, dim in zip(options.layers, self.feature_dims, strict=True):
            initial = [self._init_classifier(dim, classes, n, layer) for n in options.noise_levels]
            self.weights.append(torch.stack([w[:dim] for w in initial]).requires_grad_())
            self.biases.append(torch.stack([w[dim:] for w in initial]).requires_grad_())

    def _init_classifier(self, dim: int, classes: int, level: int, layer: int) -> Tensor:
        """Draw a classifier by PyTorch's rule for linear layers: (dim + 1, classes), bias last."""
        rng = torch.Generator().manual_seed(derive_seed("probe", self.options.seed, level, layer))
        uniform = 2 * torch.rand(dim + 1, classes, generator=rng) - 1
        return (uniform / math.sqrt(dim)).to(self.predict.device)

    def features(self, x0: Tensor, noise: Tensor) -> list[Tensor]:
        """Return the features of noisy images (B, C, H, W), (V, B, feature_dim) for each layer."""
        null_label = torch.full((len(x0),), -1, device=x0.device)
        per_level = []
        for level in self.levels:
            levels = self.process.level_tensor(level, len(x0))
            inputs = self.process.network_inputs(self.process.corrupt(x0, noise, levels), levels)
            taps = self.predict.decoder_features(max(self.options.layers), *inputs, null_label)
            per_level.append([taps[layer - 1] for layer in self.options.layers])
        return [torch.stack(layer) for layer in zip(*per_level, strict=True)]

    def logits(self, x0: Tensor, noise: Tensor) -> list[Tensor]:
        """Return the classifiers' logits, (V, B, classes) for each layer."""
        layers = zip(self.biases, self.features(x0, noise), self.weights, strict=True)
        return [torch.baddbmm(*layer) for layer in layers]

    def fit(self, data: LabelledImages) -> None:
        """Train all classifiers; LtdmError if the network's features are not finite."""
        options = self.options
        optimiser = torch.optim.Adam([*self.weights, *self.biases], lr=options.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options.epochs)
        steps = -(-len(data.labels) // options.batch_size)
        with Progress("probe", options.epochs * steps, "batches") as progress:
            for epoch in range(options.epochs):
                for x0, noise, labels in self._batches(data, epoch):
                    optimiser.zero_grad()
                    self._loss(self.logits(x0, noise), labels).backward()
                    optimiser.step()
                    progress.advance()
                schedule.step()
        if not all(weight.isfinite().all() for weight in self.weights):
            raise LtdmError(
                "the network's features are not finite, so it cannot be probed: its weights are"
                " bad; look at its history.csv, lower train.lr and train it again"
            )

    def _loss(self, logits: list[Tensor], labels: Tensor) -> Tensor:
        """Return the sum of the mean losses: each classifier gets its own's gradient.

        `logits` are those of the method `logits`, `labels` (B,).
        """
        targets = labels.repeat(len(self.levels))
        losses = [nnf.cross_entropy(layer.flatten(0, 1), targets) for layer in logits]
        return len(self.levels) * torch.stack(losses).sum()

    def _batches(self, data: LabelledImages, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield an epoch's batches: images, noise, labels."""
        rng = self._generator("probe order", epoch)
        order = torch.randperm(len(data.labels), generator=rng, device=self.predict.device)
        for i, rows in enumerate(order.split(self.options.batch_size)):
            rng = self._generator("probe batch", epoch, i)
            x0 = data.scaled(rows)
            if self.options.flip:
                mirror = torch.rand((len(rows), 1, 1, 1), generator=rng, device=rng.device) < 0.5
                x0 = torch.where(mirror, x0.flip(-1), x0)
            yield x0, torch.randn(x0.shape, generator=rng, device=rng.device), data.labels[rows]

    @torch.no_grad()
    def correct(self, data: LabelledImages, purpose: str) -> np.ndarray:
        """Return whether each classifier classifies each image correctly, bool (V, L, N).

        The noise depends on the seed, `purpose`, the batch and the image's position in it alone.
        """
        batches = []
        for i, rows in enumerate(torch.arange(len(data.labels)).split(self.options.batch_size)):
            rng, rows = self._generator(f"probe {purpose}", i), rows.to(self.predict.device)
            x0 = data.scaled(rows)
            noise = torch.randn(x0.shape, generator=rng, device=rng.device)
            layers = [layer.argmax(2) == data.labels[rows] for layer in self.logits(x0, noise)]
            batches.append(torch.stack(layers, dim=1))
        return torch.cat(batches, dim=2).cpu().numpy()

    def _generator(self, purpose: str, *owner: int) -> torch.Generator:
        rng = torch.Generator(self.predict.device)
        return rng.manual_seed(derive_seed(purpose, self.options.seed, *owner))
