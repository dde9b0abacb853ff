"""The linear probe: linear classifiers on the features of a frozen network for noisy images.

There is one for each level and layer. Every batch goes through the network once a level, under the
null label, as far as the deepest layer asked for; all classifiers learn from it at once, each as if
it were alone. A feature is the mean over positions of the output of a block of the way up.
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

LEVELS, RHO = 18, 7.0  # the sampler's levels, from which the probe's are taken


@dataclass(frozen=True)
class ProbeOptions:
    """At which levels and layers a network is probed, and how the classifiers are trained."""

    noise_levels: tuple[int, ...] = option(
        (4,), "Noise levels: their numbers among the sampler's 18, of which 1 is the cleanest.",
        low=1, high=LEVELS,
    )  # fmt: skip
    layers: tuple[int, ...] = option(
        (6,), "Blocks of the network's way up, from 1: 6 is `out_6`.", low=1
    )
    epochs: int = option(15, "Times that the training images are shown.", low=1)
    batch_size: int = option(128, "Images of a step, however many GPUs trained the network.", low=1)
    lr: float = option(
        1e-3, "Rate of Adam, which falls along a cosine from epoch to epoch.", above=0
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
        """Refuse lists that are empty, or name an entry twice."""
        for name, entries in (("noise_levels", self.noise_levels), ("layers", self.layers)):
            if not entries or len(set(entries)) < len(entries):
                raise OptionError((name,), "must name at least one, and none twice")

    def evaluations(self, images: int) -> int:
        """Return the evaluations for so many labelled images; each ends at the deepest layer."""
        return len(self.noise_levels) * images * (self.epochs + 1)


def levels_of(process: Process, numbers: tuple[int, ...]) -> list[float]:
    """Return the process's levels by their numbers from the clean end of the sampler's 18.

    Raises:
        LtdmError: The process has not so many levels.
    """
    schedule = process.spaced(LEVELS, RHO)
    return [schedule[LEVELS - number] for number in numbers]


class Labelled(NamedTuple):
    """Images on the device, uint8 (N, C, H, W) or float32 points, and their labels (N,)."""

    images: Tensor
    labels: Tensor

    @classmethod
    def on(cls, device: torch.device, images: np.ndarray, labels: np.ndarray) -> "Labelled":
        """Put images and labels on a device."""
        return cls(torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device))

    def scaled(self, rows: Tensor) -> Tensor:
        """Return images (B, C, H, W), in [-1, 1] unless they are points."""
        x = self.images[rows]
        return x.float() / 127.5 - 1 if x.dtype == torch.uint8 else x


class Probe:
    """Classifiers of every level and layer asked for.

    The network is in eval mode; its process is on the same device. `shape` is an image's, without
    the batch.

    Attributes:
        levels: The levels, as the process has them, V of them.
        sigmas: Their ratios of noise to signal.
        widths: Length of each of the L layers' features.
        weights: A layer's classifiers at all levels, (V, width, classes) for each layer.
        biases: The same, (V, 1, classes).
    """

    def __init__(self, predict: Predictor, process: Process, options: ProbeOptions, classes: int,
                 shape: tuple[int, ...]):  # fmt: skip
        self.predict, self.process, self.options = predict, process, options
        self.levels = levels_of(process, options.noise_levels)
        self.sigmas = [float(process.sigma(process.batch_of(one, 1))) for one in self.levels]
        x = torch.zeros((1, *shape), device=predict.device)
        self.widths = [said.shape[2] for said in self.features(x, x)]
        self.weights, self.biases = [], []
        for layer, width in zip(options.layers, self.widths, strict=True):
            drawn = [self._begun(width, classes, t, layer) for t in options.noise_levels]
            self.weights.append(torch.stack([one[:width] for one in drawn]).requires_grad_())
            self.biases.append(torch.stack([one[width:] for one in drawn]).requires_grad_())

    def _begun(self, width: int, classes: int, level: int, layer: int) -> Tensor:
        """Draw a classifier as PyTorch begins a linear layer: (width + 1, classes), bias last."""
        rng = torch.Generator().manual_seed(derive_seed("probe", self.options.seed, level, layer))
        drawn = 2 * torch.rand(width + 1, classes, generator=rng) - 1
        return (drawn / math.sqrt(width)).to(self.predict.device)

    def features(self, x0: Tensor, noise: Tensor) -> list[Tensor]:
        """Return the features of images (B, C, H, W) with noise, (V, B, width) for each layer."""
        nothing = torch.full((len(x0),), -1, device=x0.device)
        said = []
        for level in self.levels:
            at = self.process.batch_of(level, len(x0))
            seen = self.process.inputs(self.process.corrupt(x0, noise, at), at)
            taps = self.predict.taps(max(self.options.layers), *seen, nothing)
            said.append([taps[layer - 1] for layer in self.options.layers])
        return [torch.stack(layer) for layer in zip(*said, strict=True)]

    def logits(self, x0: Tensor, noise: Tensor) -> list[Tensor]:
        """Return the classifiers' logits, (V, B, classes) for each layer."""
        layers = zip(self.biases, self.features(x0, noise), self.weights, strict=True)
        return [torch.baddbmm(*layer) for layer in layers]

    def fit(self, data: Labelled) -> None:
        """Train all classifiers."""
        options = self.options
        optimiser = torch.optim.Adam([*self.weights, *self.biases], lr=options.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options.epochs)
        steps = -(-len(data.labels) // options.batch_size)
        with Progress("probe", options.epochs * steps, "batches") as progress:
            for epoch in range(options.epochs):
                for x0, noise, labels in self._shown(data, epoch):
                    optimiser.zero_grad()
                    self._loss(self.logits(x0, noise), labels).backward()
                    optimiser.step()
                    progress.advance()
                schedule.step()
        if not all(weight.isfinite().all() for weight in self.weights):
            raise LtdmError(
                "the network says what is not finite, so it cannot be probed: its weights are bad;"
                " look at its history.csv, lower train.lr and train it again"
            )

    def _loss(self, logits: list[Tensor], labels: Tensor) -> Tensor:
        """Return the sum of all classifiers' mean losses, of which each sees its own."""
        targets = labels.repeat(len(self.levels))
        losses = [nnf.cross_entropy(one.flatten(0, 1), targets) for one in logits]
        return len(self.levels) * torch.stack(losses).sum()

    def _shown(self, data: Labelled, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield an epoch's batches: images, noise, labels."""
        rng = self._drawing("probe order", epoch)
        order = torch.randperm(len(data.labels), generator=rng, device=self.predict.device)
        for i, rows in enumerate(order.split(self.options.batch_size)):
            rng = self._drawing("probe batch", epoch, i)
            x0 = data.scaled(rows)
            if self.options.flip:
                mirror = torch.rand((len(rows), 1, 1, 1), generator=rng, device=rng.device) < 0.5
                x0 = torch.where(mirror, x0.flip(-1), x0)
            yield x0, torch.randn(x0.shape, generator=rng, device=rng.device), data.labels[rows]

    @torch.no_grad()
    def right(self, data: Labelled, purpose: str) -> np.ndarray:
        """Return whether each classifier is right about each image, bool (V, L, N).

        The noise depends on the seed, `purpose`, the batch and the image's place alone.
        """
        found = []
        for i, rows in enumerate(torch.arange(len(data.labels)).split(self.options.batch_size)):
            rng, mine = self._drawing(f"probe {purpose}", i), rows.to(self.predict.device)
            x0 = data.scaled(mine)
            noise = torch.randn(x0.shape, generator=rng, device=rng.device)
            said = [one.argmax(2) == data.labels[mine] for one in self.logits(x0, noise)]
            found.append(torch.stack(said, dim=1))
        return torch.cat(found, dim=2).cpu().numpy()

    def _drawing(self, purpose: str, *owner: int) -> torch.Generator:
        rng = torch.Generator(self.predict.device)
        return rng.manual_seed(derive_seed(purpose, self.options.seed, *owner))
