"""A run's options and data -> the trainer that makes its network."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ltdm.core.seeding import derive_seed, owner_seeds
from ltdm.core.weights import read_weights
from ltdm.methods._objective import Objective, build_objective
from ltdm.networks._per_class import PerClassNetworks, build_network
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.options import parse
from ltdm.plumbing.registry import Part, parse_part, parse_parts
from ltdm.training.batches import Batches
from ltdm.training.loop import Trainer
from ltdm.training.options import TrainOptions

log = logging.getLogger("ltdm")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: its parts and the training options, parsed."""

    network: Part
    process: Part
    methods: tuple[Part, ...]
    train: TrainOptions

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], places: Mapping[str, Any] = {}) -> "Recipe":
        """Parse `network`, `process`, `method` (one or a list) and `train`, as in the config.

        `places` has the options of `train` that decide no result, and so are not part of a spec.

        Raises:
            OptionError: A part or option is not known, or a value is out of range.
        """
        network, process = (
            parse_part(kind, spec[kind], (kind,)) for kind in ("network", "process")
        )
        methods = parse_parts("method", spec["method"], ("method",))
        train = parse(TrainOptions, {**spec["train"], **places}, ("train",))
        return cls(network, process, methods, train)

    def objective(self, class_counts: list[int]) -> Objective:
        """Return the objective on a training set with these class counts."""
        return build_objective(self.methods, class_counts)


def make_trainer(
    recipe: Recipe, seed: int, images: np.ndarray, labels: np.ndarray, device: torch.device
) -> Trainer:
    """Build the trainer of a run; the network's initial weights depend on the seed alone.

    Images are uint8 (N, C, H, W), or float32 points; labels are int64 (N,), and every class from 0
    to the largest has an image.

    Raises:
        LtdmError: The options do not suit the data.
    """
    class_counts, options = np.bincount(labels).tolist(), recipe.train
    method = recipe.objective(class_counts)
    batches = Batches(images, labels, options, seed, device, method.class_blocks)
    label_role = method.label_role(options.conditional)
    shape = *images.shape[1:3], len(class_counts), options.augment_dim()
    nets = []
    for owner in owner_seeds(seed, len(class_counts)) if method.network_per_class else [seed]:
        with torch.random.fork_rng([]):
            torch.manual_seed(derive_seed("init", owner))
            nets.append(build_network(recipe.network, label_role, *shape))
    method.bind(nets[0], seed)
    net = PerClassNetworks(nets) if method.network_per_class else nets[0]
    process = recipe.process.module.build(recipe.process.options)
    return Trainer(net, method, process, batches, options, seed)


def model_metadata(recipe: Recipe, trainer: Trainer) -> dict[str, Any]:
    """Return what sampling needs to know of a network besides its weights."""
    images, options = trainer.batches.images, recipe.train
    return {
        "network": recipe.network.to_config(),
        "process": recipe.process.to_config(),
        "channels": images.shape[1],
        "size": images.shape[2],
        "classes": trainer.batches.num_classes,
        "augment_dim": options.augment_dim(),
        "points": images.dtype != torch.uint8,
        "label": trainer.method.label_role(options.conditional),
    }


def init_trainer(trainer: Trainer, init: Path) -> None:
    """Start a trainer from another run's averaged weights.

    Raises:
        LtdmError: The file is bad, or holds a network of another kind.
    """
    weights, metadata = read_weights(init, "ema.")
    try:
        trainer.init_from(weights)
    except RuntimeError as error:
        raise LtdmError(
            f"{init} holds another network than this run's, so the run cannot start from it; give"
            " both runs the same network, augmentation and method's mode"
        ) from error
    log.info("starting from %s (%s)", init, metadata["key"])
