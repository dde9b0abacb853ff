"""What every objective shares: the corrupted batch it starts from, and how its terms are asked for.

An objective is the denoising loss and any number of terms. A term may change the target, ask the
network again about rows of the batch under other labels, add losses, or weigh what is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ltdm.diffusion._base import Process
from ltdm.streams import Streams


class Batch(NamedTuple):
    """One training batch.

    Attributes:
        x0: Images in [-1, 1], float32, shape (B, C, H, W).
        classes: Classes, int64, shape (B,).
        labels: What the network is told of them: the same, or -1 where the label was dropped.
        labelled: Whether the label was kept, bool, (B,), known to the host.
        kept: Positions where it was, int64; found on the host, which so knows their number.
        augment: What the network is told of each image's augmentation, (B, 9), if it is told.
    """

    x0: Tensor
    classes: Tensor
    labels: Tensor
    labelled: Tensor
    kept: Tensor
    augment: Tensor | None = None

    def part(self, rows: slice) -> "Batch":
        """Return some neighbouring rows as a batch."""
        x0, labelled = self.x0[rows], self.labelled[rows]
        kept = positions(labelled, x0.device)
        told = None if self.augment is None else self.augment[rows]
        return Batch(x0, self.classes[rows], self.labels[rows], labelled, kept, told)


class Inputs(NamedTuple):
    """What the network is asked: x (B, C, H, W), level (B,), labels (B,), augment (B, 9) or None.

    It answers F (B, C, H, W), float32.
    """

    x: Tensor
    level: Tensor
    labels: Tensor
    augment: Tensor | None

    def again(self, rows: Tensor, labels: Tensor) -> "Inputs":
        """Return some of the rows, under other labels."""
        told = None if self.augment is None else self.augment[rows]
        return Inputs(self.x[rows], self.level[rows], labels, told)

    @staticmethod
    def joined(parts: Sequence["Inputs"]) -> "Inputs":
        """Return all as one batch."""
        if len(parts) == 1:
            return parts[0]
        x, level, labels, augment = zip(*parts, strict=True)
        told = torch.cat(augment) if augment[0] is not None else None
        return Inputs(torch.cat(x), torch.cat(level), torch.cat(labels), told)


class Said(NamedTuple):
    """What the network said: F (B, C, H, W), and its bottleneck z (B, d), as far as asked for."""

    F: Tensor
    z: Tensor


class Net(Protocol):
    """A network as a function of `Inputs`; each call is one evaluation a row."""

    def __call__(self, x: Tensor, *rest: Tensor | None) -> Tensor:
        """Return F."""

    def both(self, x: Tensor, *rest: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return F and the bottleneck z."""

    def bottleneck(self, x: Tensor, *rest: Tensor | None) -> Tensor:
        """Return z alone; the way up is not computed."""


class Noised(NamedTuple):
    """A batch at drawn noise levels.

    Attributes:
        inputs: What the network is asked.
        level: The levels, (B,).
        progress: How far towards pure noise they lie, in [0, 1], (B,).
        drawn: The same, known to the host.
        noise: Standard normal, (B, C, H, W).
        target: F*, what the network should say.
    """

    inputs: Inputs
    level: Tensor
    progress: Tensor
    drawn: Tensor
    noise: Tensor
    target: Tensor


class Question(NamedTuple):
    """Rows of the batch that the network is asked about once more.

    Attributes:
        rows: Their positions, (R,).
        labels: The label of each, (R,); -1 for none.
        gradient: Whether the answer needs one; with it, they share the batch's own call.
        want: "F", the bottleneck "z", or "both".
    """

    rows: Tensor
    labels: Tensor
    gradient: bool = True
    want: str = "F"


@dataclass(frozen=True)
class Evaluations:
    """Network evaluations an image, on average.

    Attributes:
        forward: Whole forward passes.
        backward: Whole backward passes.
        encoder: Forward and backward passes through the way down and the middle only.
    """

    forward: float
    backward: float
    encoder: float = 0

    def __add__(self, other: "Evaluations") -> "Evaluations":
        """Add up."""
        forward, backward = self.forward + other.forward, self.backward + other.backward
        return Evaluations(forward, backward, self.encoder + other.encoder)


ONE = Evaluations(1, 1)
"""What every objective costs: each image once, forward and backward."""
NOTHING = Evaluations(0, 0)


class Term(nn.Module):
    """A part of an objective. What it must remember between updates lives in its buffers.

    Attributes:
        compares_labels: Whether it asks under other labels, which an unconditional network has not.
        own_want: What it wants of the batch's own call: "F" or "both".
        by_class: Whether batches hold the same number of each class, in blocks.
        players: Whether each class has a network of its own, which its label picks.
        in_turns: Whether each block of a batch makes an optimiser step of its own.
    """

    compares_labels = False
    own_want = "F"
    by_class = False
    players = False
    in_turns = False

    def target(self, at: Noised, batch: Batch, process: Process, rng: Streams) -> Tensor:
        """Return what the network should say."""
        return at.target

    def ask(self, at: Noised, batch: Batch, rng: Streams) -> Question | None:
        """Return what else the network is asked."""
        return None

    def losses(self, at: Noised, own: Said, question: Question, other: Said) -> dict[str, Tensor]:
        """Return named losses, one value an image, (B,), from what was asked."""
        return {}

    def weights(self, at: Noised, denoise: Tensor) -> Tensor | None:
        """Return each image's weight (B,) from its denoising loss; None for one."""
        return None


def noised(batch: Batch, process: Process, rng: Streams) -> Noised:
    """Draw a level and noise for each image and corrupt it.

    Each owner of a random stream has an equal share of the batch, in order.
    """
    x0, share = batch.x0, len(batch.x0) // len(rng.hosts)
    drawn = torch.cat([process.draw(share, host) for host in rng.hosts])
    shape = (share, *x0.shape[1:])
    noise = torch.cat(
        [torch.randn(shape, generator=g, device=x0.device, dtype=x0.dtype) for g in rng.devices]
    )
    level = moved(drawn, x0.device)
    seen = process.inputs(process.corrupt(x0, noise, level), level)
    inputs = Inputs(*seen, batch.labels, batch.augment)
    target = process.target(x0, noise, level)
    return Noised(inputs, level, process.progress(level), process.progress(drawn), noise, target)


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy from the host to a device without waiting for it."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor


def positions(mask: Tensor, device: torch.device) -> Tensor:
    """Return where a mask of the host's is true, on a device, without waiting for it."""
    return moved(torch.from_numpy(np.flatnonzero(mask.numpy())), device)


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Return each image's mean squared error, shape (B,)."""
    return (a - b).square().flatten(1).mean(1)


def spread(rows: Tensor, values: Tensor, size: int) -> Tensor:
    """Return the sum of the values that belong to each of `size` images, (size,)."""
    return torch.zeros(size, dtype=values.dtype, device=values.device).index_add(0, rows, values)
