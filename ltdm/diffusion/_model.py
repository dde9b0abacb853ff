"""A trained network and its process, ready to be asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ltdm.core.weights import read_weights
from ltdm.diffusion._base import Process
from ltdm.networks._per_class import build_network, extract_network
from ltdm.networks._predictor import Predictor, to_device
from ltdm.plumbing.registry import part


class Model(NamedTuple):
    """What sampling, guidance and the probe need of a network: all on one device, in eval mode.

    There is one predictor for each class where labels choose the network. `metadata` is what its file
    says of it.
    """

    predictors: list[Predictor]
    process: Process
    metadata: Mapping[str, Any]

    @classmethod
    def from_file(cls, file: Path, weights: str, precision: str, device: torch.device) -> "Model":
        """Make a network's file ready: its averaged weights, "ema", or the last ones, "last".

        Raises:
            LtdmError: The file is missing, damaged, or not one of ltdm's.
        """
        return cls.from_tensors(*read_weights(file, f"{weights}."), precision, device)

    @classmethod
    def from_tensors(
        cls,
        tensors: dict[str, Tensor],
        metadata: Mapping[str, Any],
        precision: str,
        device: torch.device,
    ) -> "Model":
        """Make a network ready from its weights and what is known of it."""
        network, process = (part(kind, metadata[kind], (kind,)) for kind in ("network", "process"))
        shape = [metadata[k] for k in ("channels", "size", "classes", "told")]
        classes = range(metadata["classes"]) if metadata["label"] == "network" else ()
        predictors = []
        for own in [extract_network(tensors, k) for k in classes] or [tensors]:
            net = build_network(network, metadata["label"], *shape)
            net.load_state_dict(own)
            predictors.append(
                Predictor(to_device(net, device, precision).eval(), device, precision)
            )
        made = process.module.build(process.options).to(device)
        return cls(predictors, made, metadata)
