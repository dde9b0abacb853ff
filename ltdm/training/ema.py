"""Exponential moving averages (EMA) of weights: with a fixed decay, and with a power profile."""

from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor, nn

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option
from ltdm.training.posthoc import coefficients, gamma_of, profile_error


@dataclass(frozen=True)
class PosthocEMA:
    """Options of post-hoc EMA: snapshots from which averages of any width are made later."""

    snapshots: int = option(
        20, "Evenly spaced snapshots of each average; 20 to 40 are enough.", low=1
    )
    sigma_rel: tuple[float, ...] = option(
        (0.05, 0.1),
        "Widths of the stored averages, relative to the training's length.",
        low=0.01,
        high=0.28,
    )

    def __post_init__(self) -> None:
        """Refuse an empty list of widths, and widths too close to be separated."""
        rising = sorted(self.sigma_rel)
        if not rising or any(b < 1.01 * a for a, b in pairwise(rising)):
            raise OptionError(("sigma_rel",), "must be widths at least 1 % apart")

    @property
    def weight_bytes(self) -> int:
        """Bytes per weight in all snapshots, which are float16."""
        return 2 * self.snapshots * len(self.sigma_rel)

    def profile_error(self, sigma_rel: float) -> float:
        """Return how far the snapshots miss a width's profile in L2, as a fraction of its norm."""
        steps = self.snapshot_steps(100 * self.snapshots)
        times, widths = zip(*product(steps, self.sigma_rel), strict=True)
        gammas, target = [gamma_of(width) for width in widths], (times[-1], gamma_of(sigma_rel))
        return profile_error(coefficients(times, gammas, *target), times, gammas, *target)

    def snapshot_steps(self, steps: int) -> list[int]:
        """Return the steps after which snapshots are taken, in a training of `steps`."""
        return [round(steps * k / self.snapshots) for k in range(1, self.snapshots + 1)]


class EMA:
    """e <- decay e + (1 - decay) p after each training step, starting as a copy of the weights.

    The decay has no warm-up, as in the released codes: after n steps the initial weights still
    have the weight decay**n.
    """

    def __init__(self, net: nn.Module, decay: float):
        self.decay = decay
        self.parameters: dict[str, Tensor] = dict(net.named_parameters())
        state = net.state_dict()
        self.buffers = {name: state[name].clone() for name in state if name not in self.parameters}
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move every average towards its weight, in a few fused kernels."""
        averages, weights = list(self.average.values()), list(self.parameters.values())
        torch._foreach_lerp_(averages, weights, 1 - self.decay)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged weights and the network's buffers, by name."""
        return {**self.buffers, **self.average}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take averaged weights and buffers from a saved state; a network may lack some buffers."""
        for name, value in self.average.items():
            value.copy_(state[name])
        self.buffers = {name: state[name].clone() for name in state if name not in self.average}


class PowerEMA(EMA):
    """An average whose memory is a fixed fraction of the training so far: its profile is tau^gamma.

    Its decay at step t is (1 - 1 / t)^(gamma + 1), so the first step replaces the initial weights.
    Source: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", CVPR
    2024, equations 5 and 6.
    """

    def __init__(self, net: nn.Module, sigma_rel: float):
        super().__init__(net, 0.0)
        self.sigma_rel, self.gamma = sigma_rel, gamma_of(sigma_rel)
        # 1 - decay, as a tensor: a captured step reads it again.
        self.lerp_weight = next(iter(self.average.values())).new_zeros(())

    def set_decay(self, step: int) -> None:
        """Set the decay of a step, counted from 1; `update` then does the same work in each."""
        self.lerp_weight.fill_(1 - (1 - 1 / step) ** (self.gamma + 1))

    @torch.no_grad()
    def update(self) -> None:
        """Move every average towards its weight."""
        for name, average in self.average.items():
            average.lerp_(self.parameters[name], self.lerp_weight)

    def snapshot(self) -> dict[str, Tensor]:
        """Return the averaged weights in float16 on the host, named `<width>.<weight>`."""
        width = f"{self.sigma_rel:g}"
        return {f"{width}.{name}": value.half().cpu() for name, value in self.average.items()}
