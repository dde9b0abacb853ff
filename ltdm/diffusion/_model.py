"""A trained network and its process, ready to be asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ltdm.core.weights import read_weights
from ltdm.diffusion._base import Process
from ltdm.networks._players import build_network, network_of
from ltdm.networks._predictor import Predictor, placed
from ltdm.plumbing.registry import parse_part


class Model(NamedTuple):
    """What sampling, guidance and the probe need of a network: all on one device, in eval mode.

    There is one predictor for each class where labels choose the network. `about` is what its file
    says of it.
    """

    predictors: list[Predictor]
    process: Process
    about: Mapping[str, Any]

    @classmethod
    def read(cls, file: Path, weights: str, precision: str, device: torch.device) -> "Model":
        """Make a network's file ready: its averaged weights, "ema", or the last ones, "last".

        Raises:
            LtdmError: The file is missing, damaged, or not one of ltdm's.
        """
        return cls.of(*read_weights(file, f"{weights}."), precision, device)

    @classmethod
    def of(
        cls,
        tensors: dict[str, Tensor],
        about: Mapping[str, Any],
        precision: str,
        device: torch.device,
    ) -> "Model":
        """Make a network ready from its weights and what is known of it."""
        network, process = (
            parse_part(kind, about[kind], (kind,)) for kind in ("network", "process")
        )
        shape = [about[k] for k in ("channels", "size", "classes", "told")]
        classes = range(about["classes"]) if about["label"] == "network" else ()
        predictors = []
        for own in [network_of(tensors, k) for k in classes] or [tensors]:
            net = build_network(network, about["label"], *shape)
            net.load_state_dict(own)
            predictors.append(Predictor(placed(net, device, precision).eval(), device, precision))
        made = process.module.build(process.options).to(device)
        return cls(predictors, made, about)
