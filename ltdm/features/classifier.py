"""Features of a small classifier trained once on the balanced reference.

For images that an ImageNet network knows nothing about, and for machines without its weights. A
fifth of each class is held out of its training; the accuracy on it is kept beside the weights.
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
from ltdm.features._base import Extract, Extracted
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.options import option
from ltdm.plumbing.progress import Progress

log = logging.getLogger("ltdm")
CITATION = ""
PROBABILITIES = "classes"
READS_POINTS = False
RUNS_NETWORK = True
BLOCK = 500  # images per call when extracting


@dataclass(frozen=True)
class Options:
    """Size and training of the classifier."""

    width: int = option(32, "Channels of the first layer.", low=1)
    feature_dim: int = option(64, "Length of the feature vector.", low=2)
    steps: int = option(600, "Optimiser steps.", low=1)
    batch_size: int = option(128, "Images a step.", low=1)
    lr: float = option(1e-3, "Adam's learning rate, falling to zero along a cosine.", above=0)
    seed: int = option(0, "Seed of the weights, the batches and the held-out fifth.", low=0)


class Classifier(nn.Module):
    """Strided convolutions down to a side of 4 or less, then two linear layers."""

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
        self.scale: Tensor  # makes the features' mean variance on the reference 1
        self.register_buffer("scale", torch.ones(()))

    def activations(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [-1, 1] to the last hidden layer (B, d)."""
        return F.relu(self.embed(self.convolutions(x).flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        """Map images to logits (B, classes)."""
        return self.classify(self.activations(x))


def length(options: Options, channels: int, side: int) -> int:
    """Return the length of a feature vector."""
    return options.feature_dim


def fit(
    options: Options, images: np.ndarray, labels: np.ndarray, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train on the reference; return the weights and what is worth knowing about them."""
    held_out = _held_out(labels, options.seed)
    x, y = torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)
    train = torch.from_numpy(np.flatnonzero(~held_out)).to(device)
    shape = {"channels": images.shape[1], "size": images.shape[2], "classes": int(labels.max()) + 1}
    with torch.random.fork_rng([]):
        torch.manual_seed(derive_seed("classifier", options.seed))
        net = Classifier(options, **shape).to(device)
    optimiser = torch.optim.Adam(net.parameters(), lr=options.lr, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options.steps)
    rng = torch.Generator().manual_seed(derive_seed("classifier batches", options.seed))
    with Progress("classifier", options.steps, "updates") as progress:
        for _ in range(options.steps):
            rows = train[torch.randint(len(train), (options.batch_size,), generator=rng).to(device)]
            loss = F.cross_entropy(net(_scaled(x[rows])), y[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            progress.advance()
    with torch.inference_mode():
        activations = torch.cat([net.activations(_scaled(block)) for block in x.split(BLOCK)])
        right = (net.classify(activations).argmax(1) == y).float().cpu().numpy()
        net.scale.copy_(activations[train].var(0).mean().rsqrt())
    accuracy = float(right[held_out].mean())
    log.info("classifier: %.1f %% of the held-out images right", 100 * accuracy)
    return net.state_dict(), {**shape, "held_out": int(held_out.sum()), "accuracy": accuracy}


def build(
    options: Options, weights: dict[str, Tensor], about: dict[str, Any], device: torch.device
) -> Extract:
    """Return the extractor of uint8 images of the shape that it was trained on."""
    shape = (about["channels"], about["size"], about["size"])
    net = Classifier(options, about["channels"], about["size"], about["classes"])
    net.load_state_dict(weights)
    net.to(device).eval()

    @torch.inference_mode()
    def extract(images: np.ndarray) -> Extracted:
        if images.shape[1:] != shape:
            raise LtdmError(
                f"the classifier was trained on images of shape {shape}, not {images.shape[1:]};"
                " extract these features with the classifier of their own data set"
            )
        features, probabilities = [], []
        with Progress("features", len(images), "images") as progress:
            for rows, new in fixed_blocks(len(images), BLOCK):
                hidden = net.activations(_scaled(torch.from_numpy(images[rows]).to(device)))
                features.append((net.scale * hidden).cpu().numpy()[:new])
                probabilities.append(net.classify(hidden).softmax(1).cpu().numpy()[:new])
                progress.advance(new)
        return Extracted(np.concatenate(features), np.concatenate(probabilities))

    return extract


def _scaled(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


def _held_out(labels: np.ndarray, seed: int) -> np.ndarray:
    """Mark a fifth of each class, at least one image of it where it has more than one."""
    rng = np.random.default_rng(derive_seed("held out", seed))
    mask = np.zeros(len(labels), bool)
    for c in range(int(labels.max()) + 1):
        members = rng.permutation(np.flatnonzero(labels == c))
        mask[members[: max(len(members) // 5, int(len(members) > 1))]] = True
    return mask
