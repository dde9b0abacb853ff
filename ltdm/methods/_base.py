"""What every objective shares: the corrupted batch it starts from, and how its terms are asked for.

An objective is the denoising loss and any number of terms. A term may change the target, ask the
network again about the batch under other labels, add losses, or weigh what is there.

Every tensor has the same shape in every update, so that an update can be compiled once and captured
as one CUDA graph. What concerns images with a label alone is computed for all, and weighs 0 for the
others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ltdm.diffusion._base import Process
from ltdm.methods._generators import Generators


class Batch(NamedTuple):
    """One training batch."""

    x0: Tensor  # images in [-1, 1], float32, shape (B, C, H, W)
    classes: Tensor  # int64, shape (B,)
    labels: Tensor  # what the network is conditioned on: the classes, or -1 where one was dropped
    level: Tensor  # noise levels as the process draws them, (B,)
    augment: Tensor | None = None  # each image's augmentation, (B, 9), if the network is given it

    @property
    def has_label(self) -> Tensor:
        """Whether an image's label was kept, bool, (B,)."""
        return self.labels >= 0

    def take(self, rows: slice) -> "Batch":
        """Return some neighbouring rows as a batch."""
        return Batch._make(None if t is None else t[rows] for t in self)


class Inputs(NamedTuple):
    """What the network is asked; it answers F (B, C, H, W), float32."""

    x: Tensor  # (B, C, H, W)
    level: Tensor  # (B,)
    labels: Tensor  # (B,)
    augment: Tensor | None  # (B, 9)

    def repeat_with(self, labels: Tensor) -> "Inputs":
        """Return all rows once for each (B,) of the labels (k B,), under those."""
        return Inputs.concatenate([self] * (len(labels) // len(self.x)))._replace(labels=labels)

    @staticmethod
    def concatenate(parts: Sequence["Inputs"]) -> "Inputs":
        """Return all as one batch."""
        if len(parts) == 1:
            return parts[0]
        every = zip(*parts, strict=True)
        return Inputs._make(None if each[0] is None else torch.cat(each) for each in every)


class Prediction(NamedTuple):
    """What the network said: F (B, C, H, W), and its bottleneck z (B, d); empty if not asked."""

    F: Tensor = torch.empty(0)
    z: Tensor = torch.empty(0)


class Net(Protocol):
    """A network as a function of `Inputs`; each call is one evaluation a row."""

    def __call__(self, x: Tensor, *rest: Tensor | None) -> Tensor:
        """Return F."""

    def both(self, x: Tensor, *rest: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return F and the bottleneck z."""

    def bottleneck(self, x: Tensor, *rest: Tensor | None) -> Tensor:
        """Return z alone; the way up is not computed."""


class NoisyBatch(NamedTuple):
    """A batch at drawn noise levels."""

    inputs: Inputs  # what the network is asked
    level: Tensor  # the levels, (B,)
    progress: Tensor  # how far towards pure noise they lie, in [0, 1], (B,)
    has_label: Tensor  # whether an image's label was kept, bool, (B,)
    noise: Tensor  # standard normal, (B, C, H, W)
    target: Tensor  # F*, what the network should say


class Query(NamedTuple):
    """What the network is asked about the whole batch once more, or k times."""

    labels: Tensor  # of each image, (k B,): those of the first time, of the second, ..; -1 for none
    gradient: bool = True  # whether the answer needs one; with it, they share the batch's own call
    outputs: str = "F"  # or the bottleneck "z", or "both"


@dataclass(frozen=True)
class NetworkEvaluations:
    """Network evaluations per image, on average."""

    forward: float  # whole passes
    backward: float  # whole passes
    encoder: float = 0  # forward and backward passes through the way down and the middle only

    def __add__(self, other: "NetworkEvaluations") -> "NetworkEvaluations":
        forward, backward = self.forward + other.forward, self.backward + other.backward
        return NetworkEvaluations(forward, backward, self.encoder + other.encoder)


NO_EVALUATIONS = NetworkEvaluations(0, 0)


class Term(nn.Module):
    """A part of an objective. What it must remember between updates lives in its buffers."""

    needs_conditional_network = (
        False  # whether it asks under other labels, which needs a conditional network
    )
    class_blocks = False  # whether batches hold the same number of each class, in blocks
    network_per_class = False  # whether each class has a network of its own, which its label picks
    step_per_class = False  # whether each block of a batch makes an optimiser step of its own

    def target(self, noisy: NoisyBatch, batch: Batch, process: Process, rng: Generators) -> Tensor:
        """Return what the network should say."""
        return noisy.target

    def query(self, noisy: NoisyBatch, batch: Batch, rng: Generators) -> Query | None:
        """Return what else the network is asked."""
        return None

    def extra_losses(
        self, noisy: NoisyBatch, own: Prediction, query: Query, other: Prediction
    ) -> dict[str, Tensor]:
        """Return named losses, one value per image, (B,), from what was asked."""
        return {}

    def image_weights(self, noisy: NoisyBatch, denoise: Tensor) -> Tensor | None:
        """Return each image's weight (B,) from its denoising loss; None for one."""
        return None


class MethodModule(Protocol):
    """What the file of a method defines."""

    @property
    def CITATION(self) -> str:
        """BibTeX of its source; empty where there is nothing to cite."""

    @property
    def Options(self) -> type[Any]:
        """A frozen dataclass of `option`s."""

    def evaluations(self, options: Any, classes: int) -> NetworkEvaluations:
        """Return the evaluations per image beyond its own one, with so many classes."""

    def build(self, options: Any, class_counts: list[int]) -> Term:
        """Make the term for a training set with so many images of each class.

        Raises:
            OptionError: It does not suit these classes; the path begins with the method's option.
        """


def draw_levels(process: Process, size: int, rng: Generators) -> Tensor:
    """Draw the noise levels (B,) of a batch on the host: the same ones whatever the device.

    Each owner of a random stream has an equal share of the batch, in order.
    """
    return torch.cat([process.draw(size // len(rng.on_host), host) for host in rng.on_host])


def make_noisy(batch: Batch, process: Process, rng: Generators) -> NoisyBatch:
    """Draw noise for each image and corrupt it; owners share the batch as in `draw_levels`."""
    x0, level = batch.x0, batch.level
    shape = (len(x0) // len(rng.on_device), *x0.shape[1:])
    noise = torch.cat(
        [torch.randn(shape, generator=g, device=x0.device, dtype=x0.dtype) for g in rng.on_device]
    )
    seen = process.inputs(process.corrupt(x0, noise, level), level)
    inputs = Inputs(*seen, batch.labels, batch.augment)
    target = process.target(x0, noise, level)
    return NoisyBatch(inputs, level, process.progress(level), batch.has_label, noise, target)


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Return each image's mean squared error, shape (B,)."""
    return (a - b).square().flatten(1).mean(1)
