"""A trained network with its process, ready for sampling, guidance and the linear probe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ltdm.core.weights import read_weights
from ltdm.diffusion._base import Process
from ltdm.networks._per_class import build_network, extract_network
from ltdm.networks._predictor import Predictor, to_device
from ltdm.networks._reserve import remove_reserve
from ltdm.plumbing.files import explain_read_errors
from ltdm.plumbing.registry import parse_part


class Model(NamedTuple):
    """A trained network and its process, on one device and in eval mode.

    There is one predictor, or one per class if labels select the network. `metadata` is that of the
    model's file.
    """

    predictors: list[Predictor]
    process: Process
    metadata: Mapping[str, Any]

    @classmethod
    def from_file(
        cls, file: Path, weights: str, precision: str, device: torch.device, plain: bool = False
    ) -> "Model":
        """Load a model's file with its averaged weights ("ema") or its last ones ("last").

        A network's reserve is merged into its weights, or with `plain` left out.

        Raises:
            LtdmError: The file is missing, damaged, or not one of ltdm's.
        """
        tensors, metadata = read_weights(file, f"{weights}.")
        return cls.from_tensors(tensors, metadata, precision, device, file, plain)

    @classmethod
    def from_tensors(
        cls,
        tensors: dict[str, Tensor],
        metadata: Mapping[str, Any],
        precision: str,
        device: torch.device,
        file: Path = Path("the model"),
        plain: bool = False,
    ) -> "Model":
        """Build the model from the state dict and the metadata of a file, which errors name."""
        with explain_read_errors(file, "network of ltdm"):
            network, process = (
                parse_part(kind, metadata[kind], (kind,)) for kind in ("network", "process")
            )
            shape = [metadata[key] for key in ("channels", "size", "classes", "augment_dim")]
            if not isinstance(metadata["points"], bool):
                raise ValueError("`points` is neither true nor false")
            classes = range(metadata["classes"]) if metadata["label"] == "network" else ()
            states = [extract_network(tensors, k) for k in classes] or [tensors]
            predictors = []
            for state in states:
                net = build_network(network, metadata["label"], *shape)
                net.load_state_dict(state)
                remove_reserve(net, merge=not plain)
                net = to_device(net, device, precision).eval()
                predictors.append(Predictor(net, device, precision))
            return cls(predictors, process.module.build(process.options).to(device), metadata)
