"""Adam with clipped gradients, for one network or for separate ones as a stack."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ltdm.networks._players import Players
from ltdm.training.options import TrainOptions

MOMENTS = "exp_avg", "exp_avg_sq"


class Optimiser:
    """Adam; the gradients of each network are scaled down where their norm is above `clip`.

    Args:
        net: The network, or separate ones, of which each has a norm of its own.
        beside: Parameters of the objective and the process, which have another.
        options: Adam's options and the clipping.
        device: Where all of it is.

    Attributes:
        networks: Number of networks.
    """

    def __init__(
        self,
        net: nn.Module,
        beside: Iterable[nn.Parameter],
        options: TrainOptions,
        device: torch.device,
    ):
        self.weights, self.beside = list(net.parameters()), list(beside)
        self.networks = net.number if isinstance(net, Players) else 1
        self.clip, cuda = options.clip, device.type == "cuda"
        # A tensor, since a captured update reads it anew; Adam's kernel on the CPU takes a double.
        self.rate = torch.zeros((), device=device, dtype=torch.float32 if cuda else torch.float64)
        beta1, beta2 = options.betas
        self.adam = torch.optim.Adam(
            [*self.weights, *self.beside], self.rate, (beta1, beta2), fused=True, capturable=cuda
        )

    def zero_grad(self) -> None:
        """Let go of all gradients, which are large."""
        self.adam.zero_grad(set_to_none=True)

    def step(self) -> Tensor:
        """Make a step; return the norm of each network's gradient before the clipping, (C,)."""
        gradients = [p.grad for p in self.weights if p.grad is not None]
        if self.networks > 1:
            each = [list(rows) for rows in zip(*(g.unbind() for g in gradients), strict=True)]
        else:
            each = [gradients]
        norms = [self._clipped(rows) for rows in each]
        self._clipped([p.grad for p in self.beside if p.grad is not None])
        self.adam.step()
        return torch.stack(norms)

    def _clipped(self, gradients: list[Tensor]) -> Tensor:
        """Scale gradients down to the norm `clip` in place; return the norm that they had."""
        norm = nn.utils.get_total_norm(gradients)
        if gradients and self.clip is not None:
            torch._foreach_mul_(gradients, (self.clip / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def state_dict(self) -> dict[int, dict[str, Tensor]]:
        """Return Adam's moments and steps by the number of the parameter."""
        state: dict[int, dict[str, Tensor]] = self.adam.state_dict()["state"]
        return state

    def load_state_dict(self, state: dict[int, dict[str, Any]]) -> None:
        """Take moments back, of whatever device and memory layout.

        Adam's kernels walk a weight and its moments as flat memory, so both must lie alike.
        """
        every = [*self.weights, *self.beside]
        self.adam.state.clear()
        for number, kept in state.items():
            weight = every[number]
            self.adam.state[weight] = {
                "step": kept["step"].to(weight.device, copy=True),
                **{name: torch.empty_like(weight).copy_(kept[name]) for name in MOMENTS},
            }
