"""Parts that all objectives share: noisy batches, queries to the network, the terms' interface.

An objective is the denoising loss and any number of terms. A term may change the target, query the
network again under other labels, add losses, or weigh images.

Every tensor has the same shape in every training step, so that a step can be compiled once and
captured as one CUDA graph. A loss that needs a label is computed for all images, and weighed by 0
where the label was dropped.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ltdm.diffusion._base import Process
from ltdm.methods._generators import Generators
from ltdm.networks._reserve import NO_PLAIN_ROWS, PlainRows


class Batch(NamedTuple):
    """One training batch of B images, or points."""

    x0: Tensor  # images in [-1, 1], float32, shape (B, C, H, W)
    classes: Tensor  # int64, shape (B,)
    labels: Tensor  # labels that condition the network, (B,): the classes, or -1 where dropped
    level: Tensor  # noise levels as the process draws them, (B,)
    augment: Tensor | None = None  # augmentation parameters, (B, 9), if the network takes them

    @property
    def has_label(self) -> Tensor:
        """Mask of the images whose label was not dropped, bool, (B,)."""
        return self.labels >= 0

    def take(self, rows: slice) -> "Batch":
        """Return consecutive rows as a batch."""
        return Batch._make(None if t is None else t[rows] for t in self)


class Inputs(NamedTuple):
    """Inputs of the network, whose output is F (B, C, H, W), float32."""

    x: Tensor  # noisy images, scaled by the process, (B, C, H, W)
    level: Tensor  # noise conditioning, (B,)
    labels: Tensor  # int64, -1 for none, (B,)
    augment: Tensor | None  # augmentation parameters, (B, 9)

    def repeat_with(self, labels: Tensor) -> "Inputs":
        """Return k copies of the B rows, under labels (k B,): copy 1 under the first B, ..."""
        return Inputs.concatenate([self] * (len(labels) // len(self.x)))._replace(labels=labels)

    @staticmethod
    def concatenate(parts: Sequence["Inputs"]) -> "Inputs":
        """Return several inputs as one batch."""
        if len(parts) == 1:
            return parts[0]
        fields = zip(*parts, strict=True)
        return Inputs._make(None if field[0] is None else torch.cat(field) for field in fields)


class Prediction(NamedTuple):
    """Outputs of the network: F (B, C, H, W) and its bottleneck z (B, d); empty if not queried."""

    F: Tensor = torch.empty(0)
    z: Tensor = torch.empty(0)


class Net(Protocol):
    """A network as a function of `Inputs`; a call is one evaluation per row."""

    def __call__(self, x: Tensor, *rest: Tensor | None) -> Tensor:
        """Return F."""

    def all_outputs(
        self, x: Tensor, *rest: Tensor | None, plain: PlainRows = NO_PLAIN_ROWS
    ) -> list[Tensor]:
        """Return F and the bottleneck z, and F of the `plain` rows without the reserve."""

    def bottleneck(self, x: Tensor, *rest: Tensor | None) -> Tensor:
        """Return z alone, without computing the decoder."""


class NoisyBatch(NamedTuple):
    """A batch with noise at its levels."""

    inputs: Inputs  # inputs of the network
    level: Tensor  # noise levels, (B,)
    progress: Tensor  # position of the levels between clean (0) and pure noise (1), (B,)
    has_label: Tensor  # mask of the images whose label was not dropped, bool, (B,)
    classes: Tensor  # of all images, also where the label was dropped, int64, (B,)
    noise: Tensor  # standard normal, (B, C, H, W)
    target: Tensor  # F*, the target of the network's output F, (B, C, H, W)


class Query(NamedTuple):
    """What a term needs: a further evaluation under other labels, k of them, or none.

    With `plain` it is one of the batch itself, without the network's reserve: with dropout masks of
    its own ("own"), or with one pass through the encoder and the same masks for both ("shared").
    """

    labels: Tensor | None  # (k B,): those of the first evaluation, of the second, ..; -1 for none
    gradient: bool = True  # whether to backpropagate; if so, it joins the batch's own call
    outputs: str = "F"  # "F", the bottleneck "z", or "both"; without labels, the batch's own
    partners: Tensor | None = None  # rows of the batch that a term pairs its rows with, (B,)
    plain: str = ""  # "own", "shared", or empty for no such evaluation; it has no labels


class Draws(NamedTuple):
    """What the losses of a batch are computed from; only dropout is still random.

    Another code's draws may take their place.
    """

    noisy: NoisyBatch
    queries: list[Query | None]  # of each term


@dataclass(frozen=True)
class NetworkEvaluations:
    """Mean number of network evaluations per image in a training step."""

    forward: float  # full forward passes
    backward: float  # full backward passes
    encoder: float = 0  # forward and backward passes through encoder and middle blocks only
    decoder: float = 0  # forward and backward passes through the decoder only

    def __add__(self, other: "NetworkEvaluations") -> "NetworkEvaluations":
        return NetworkEvaluations(*map(sum, zip(astuple(self), astuple(other), strict=True)))


NO_EVALUATIONS = NetworkEvaluations(0, 0)


class Term(nn.Module):
    """A part of an objective; buffers hold its state between training steps.

    Attributes:
        needs_conditional_network: Whether it has no effect without labels, or queries the network
            under other ones.
        plain: `Query.plain` of its queries. With "shared" it has no effect on a network without a
            reserve.
        class_blocks: Whether a batch consists of equal blocks, one per class.
        network_per_class: Whether each class has a network of its own, selected by the label.
        step_per_class: Whether each block of a batch makes an optimiser step of its own.
        needs_bottleneck_width: Whether the network must have the attribute `bottleneck_width`.
        log_by_class_group: Names of its losses whose means over the images of the head, medium and
            tail classes are logged too.
    """

    needs_conditional_network = False
    plain = ""
    class_blocks = False
    network_per_class = False
    step_per_class = False
    needs_bottleneck_width = False
    log_by_class_group: tuple[str, ...] = ()

    def target(self, noisy: NoisyBatch, batch: Batch, process: Process, rng: Generators) -> Tensor:
        """Return the target of the network's output F, (B, C, H, W)."""
        return noisy.target

    def bind(self, net: nn.Module, seed: int) -> None:
        """Make the term's own layers, which are trained beside the network `net`.

        `seed` is the run's. The layers take their weights from a stream of their own, so that the
        network's are the same with and without the term.
        """

    def query(self, noisy: NoisyBatch, batch: Batch, rng: Generators) -> Query | None:
        """Return what the term's losses need; None if it adds none."""
        return None

    def extra_losses(
        self, noisy: NoisyBatch, own: Prediction, query: Query, other: Prediction
    ) -> dict[str, Tensor]:
        """Return losses by name, (B,) each, from the outputs for the batch and for the query."""
        return {}

    def image_weights(self, noisy: NoisyBatch, denoise: Tensor) -> Tensor | None:
        """Return weights (B,) of the images from their denoising losses (B,); None for 1."""
        return None


class MethodModule(Protocol):
    """Names that the file of a method defines."""

    @property
    def CITATION(self) -> str:
        """BibTeX of its source; empty where there is nothing to cite."""

    @property
    def Options(self) -> type[Any]:
        """A frozen dataclass of `option`s."""

    def evaluations(self, options: Any, classes: int) -> NetworkEvaluations:
        """Return the evaluations per image that the term adds, with this number of classes."""

    def build(self, options: Any, class_counts: list[int]) -> Term:
        """Build the term for a training set with these numbers of images per class.

        Raises:
            OptionError: The options do not suit the classes; its path begins with the option.
        """


def draw_levels(process: Process, size: int, rng: Generators) -> Tensor:
    """Draw the noise levels (B,) of a batch of `size` images on the host: equal on every device.

    Each owner's generator draws an equal part of the batch, in order.
    """
    return torch.cat([process.draw_levels(size // len(rng.on_host), host) for host in rng.on_host])


def draw_noise(x0: Tensor, rng: Generators) -> Tensor:
    """Draw standard normal noise like x0 (B, C, H, W) on the device; owners as in `draw_levels`."""
    shape = (len(x0) // len(rng.on_device), *x0.shape[1:])
    return torch.cat(
        [torch.randn(shape, generator=g, device=x0.device, dtype=x0.dtype) for g in rng.on_device]
    )


def make_noisy(batch: Batch, process: Process, noise: Tensor) -> NoisyBatch:
    """Add standard normal noise (B, C, H, W) to a batch at its levels."""
    x0, level = batch.x0, batch.level
    x, conditioning = process.network_inputs(process.corrupt(x0, noise, level), level)
    inputs = Inputs(x, conditioning, batch.labels, batch.augment)
    target = process.target(x0, noise, level)
    progress = process.noise_progress(level)
    return NoisyBatch(inputs, level, progress, batch.has_label, batch.classes, noise, target)


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean squared error of each image (B, ...), shape (B,)."""
    return (a - b).square().flatten(1).mean(1)
