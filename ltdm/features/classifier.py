"""Features of a small classifier that is trained once on the balanced reference.

It serves images far from ImageNet, and machines without the weights of an ImageNet network. A fifth
of each class is held out of its training, and the accuracy on it is stored with the weights.
"""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltdm.core.blocks import fixed_blocks
from ltdm.core.seeding import derive_seed
from ltdm.features._base import ExtractFunction, ExtractorOutput
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.options import option
from ltdm.plumbing.progress import Progress

log = logging.getLogger("ltdm")
CITATION = ""
PROBABILITIES = "classes"
SUPPORTS_POINTS = False
USES_GPU = True
EXTRACT_BATCH_SIZE = 500  # images per call


@dataclass(frozen=True)
class Options:
    """Size and training of the classifier."""

    width: int = option(
        32,
        "Channels of the first layer; each halving of the resolution doubles them.",
        low=1,
        high=65_536,
    )
    feature_dim: int = option(64, "Length of the feature vector.", low=2, high=65_536)
    steps: int = option(600, "Training steps.", low=1)
    batch_size: int = option(128, "Images per training step.", low=1)
    lr: float = option(1e-3, "Learning rate of Adam, with cosine decay to 0.", above=0)
    seed: int = option(0, "Seed of the initial weights, the batches and the held-out fifth.", low=0)


class Classifier(nn.Module):
    """Strided convolutions down to a resolution of 4 or less, then two linear layers.

    It takes images (B, channels, size, size).
    """

    def __init__(self, options: Options, channels: int, size: int, classes: int):
        super().__init__()
        width = options.width
        layers = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        while size > 4:
            layers += [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.ReLU()]
            width, size = 2 * width, (size + 1) // 2
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.embed = nn.Linear(width * size * size, options.feature_dim)
        self.classify = nn.Linear(options.feature_dim, classes)
        self.scale: Tensor  # makes the mean variance of the features 1 on the reference
        self.register_buffer("scale", torch.ones(()))

    def activations(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [-1, 1] to the last hidden layer (B, d)."""
        return F.relu(self.embed(self.convolutions(x).flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        """Map images to logits (B, classes)."""
        return self.classify(self.activations(x))


def feature_dim(options: Options, channels: int, resolution: int) -> int:
    """Return the length of a feature vector."""
    return options.feature_dim


def prepare(
    options: Options, images: np.ndarray, labels: np.ndarray, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train on the reference; return the weights, and shapes and held-out accuracy as metadata."""
    held_out = _holdout_mask(labels, options.seed)
    x, y = torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)
    train = torch.from_numpy(np.flatnonzero(~held_out)).to(device)
    shape = {"channels": images.shape[1], "size": images.shape[2], "classes": int(labels.max()) + 1}
    with torch.random.fork_rng([]):
        torch.manual_seed(derive_seed("classifier", options.seed))
        net = Classifier(options, **shape).to(device)
    optimiser = torch.optim.Adam(net.parameters(), lr=options.lr, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options.steps)
    rng = torch.Generator().manual_seed(derive_seed("classifier batches", options.seed))
    with Progress("classifier", options.steps, "steps") as progress:
        for _ in range(options.steps):
            rows = train[torch.randint(len(train), (options.batch_size,), generator=rng).to(device)]
            loss = F.cross_entropy(net(_scale(x[rows])), y[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            progress.advance()
    with torch.inference_mode():
        batches = x.split(EXTRACT_BATCH_SIZE)
        activations = torch.cat([net.activations(_scale(batch)) for batch in batches])
        correct = (net.classify(activations).argmax(1) == y).float().cpu().numpy()
        net.scale.copy_(activations[train].var(0).mean().rsqrt())
    accuracy = float(correct[held_out].mean())
    log.info("classifier: accuracy %.1f %% on the held-out images", 100 * accuracy)
    return net.state_dict(), {**shape, "held_out": int(held_out.sum()), "accuracy": accuracy}


def load(
    options: Options, weights: dict[str, Tensor], metadata: dict[str, Any], device: torch.device
) -> ExtractFunction:
    """Return the function from uint8 images, of the shape in training, to features."""
    shape = (metadata["channels"], metadata["size"], metadata["size"])
    net = Classifier(options, metadata["channels"], metadata["size"], metadata["classes"])
    net.load_state_dict(weights)
    net.to(device).eval()

    @torch.inference_mode()
    def extract(images: np.ndarray) -> ExtractorOutput:
        if images.shape[1:] != shape:
            raise LtdmError(
                f"the classifier was trained on images of shape {shape}, not {images.shape[1:]};"
                " use the classifier of the images' own data set"
            )
        features, probabilities = [], []
        with Progress("features", len(images), "images") as progress:
            for rows, new in fixed_blocks(len(images), EXTRACT_BATCH_SIZE):
                hidden = net.activations(_scale(torch.from_numpy(images[rows]).to(device)))
                features.append((net.scale * hidden).cpu().numpy()[:new])
                probabilities.append(net.classify(hidden).softmax(1).cpu().numpy()[:new])
                progress.advance(new)
        return ExtractorOutput(np.concatenate(features), np.concatenate(probabilities))

    return extract


def _scale(images: Tensor) -> Tensor:
    """Map uint8 images to float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def _holdout_mask(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return a mask (N,) of the held-out fifth of each class, rounded down.

    A class of two to nine images has one image held out, a class of a single image none.
    """
    rng = np.random.default_rng(derive_seed("held out", seed))
    mask = np.zeros(len(labels), bool)
    for c in range(int(labels.max()) + 1):
        members = rng.permutation(np.flatnonzero(labels == c))
        mask[members[: max(len(members) // 5, int(len(members) > 1))]] = True
    return mask
