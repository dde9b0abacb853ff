"""The size of a network: its weights, and the operations of an evaluation."""

from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ltdm.networks._reserve import remove_reserve


class NetworkSize(NamedTuple):
    """A network's number of weights, and the FLOP per evaluation of it and of its encoder alone."""

    parameters: int
    flops: float
    encoder_flops: float

    def training_flops(
        self, forward: float, backward: float, encoder: float, decoder: float
    ) -> float:
        """Return the FLOP per image of passes in training; a backward pass counts as two.

        `forward` and `backward` are numbers of passes through the network, `encoder` and `decoder`
        of forward and backward passes through one of them alone.
        """
        decoder_flops = self.flops - self.encoder_flops
        partial = encoder * self.encoder_flops + decoder * decoder_flops
        return (forward + 2 * backward) * self.flops + 3 * partial


def measure_network(net: nn.Module, channels: int, resolution: int) -> NetworkSize:
    """Return the size of a network on PyTorch's meta device; its reserve is removed."""
    parameters = sum(p.numel() for p in net.parameters())
    remove_reserve(net, merge=False)  # forming its weights is a cost per call, not per image
    with torch.device("meta"):
        x = torch.empty(1, channels, resolution, resolution)
        level, labels = torch.zeros(1), torch.zeros(1, dtype=torch.int64)
        flops = []
        for outputs in ("F", "z"):
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                net(x, level, labels, outputs=outputs)
            flops.append(counter.get_total_flops())
    return NetworkSize(parameters, *flops)
