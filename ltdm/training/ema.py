"""Moving averages of weights, of a fixed memory or of one that grows with the training."""

from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor, nn

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option
from ltdm.training.posthoc import coefficients, gamma_of, profile_error


@dataclass(frozen=True)
class PosthocEMA:
    """Snapshots from which averages of any width can be made after the training."""

    snapshots: int = option(
        20, "Evenly spaced snapshots of each average; 20 to 40 are enough.", low=1
    )
    sigma_rel: tuple[float, ...] = option(
        (0.05, 0.1), "Widths of the two averages, relative to the training's length.",
        low=0.01, high=0.28,
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Refuse no width, and two that cannot be told apart."""
        rising = sorted(self.sigma_rel)
        if not rising or any(b < 1.01 * a for a, b in pairwise(rising)):
            raise OptionError(("sigma_rel",), "must be widths, a hundredth or more apart")

    @property
    def weight_bytes(self) -> int:
        """Bytes that a weight takes in all snapshots."""
        return 2 * self.snapshots * len(self.sigma_rel)

    def profile_error(self, sigma_rel: float) -> float:
        """Return how far the average of a width would be off, as a share of its profile's norm."""
        times, widths = zip(
            *product(self.snapshot_steps(100 * self.snapshots), self.sigma_rel), strict=True
        )
        gammas, wanted = [gamma_of(width) for width in widths], (times[-1], gamma_of(sigma_rel))
        return profile_error(coefficients(times, gammas, *wanted), times, gammas, *wanted)

    def snapshot_steps(self, updates: int) -> list[int]:
        """Return the updates after which snapshots are taken, of so many."""
        return [round(updates * k / self.snapshots) for k in range(1, self.snapshots + 1)]


class EMA:
    """e <- decay e + (1 - decay) p after each update, starting as a copy of the weights.

    The released codes use no warm-up of the decay, so neither do we: after n updates a share
    decay**n of the initial weights is left.
    """

    def __init__(self, net: nn.Module, decay: float):
        self.decay = decay
        self.source: dict[str, Tensor] = dict(net.named_parameters())
        state = net.state_dict()
        self.fixed = {name: state[name].clone() for name in state if name not in self.source}
        self.average = {name: p.detach().clone() for name, p in self.source.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move every average towards its weight, in a few fused kernels."""
        averages, weights = list(self.average.values()), list(self.source.values())
        torch._foreach_lerp_(averages, weights, 1 - self.decay)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged weights by name, and what the network holds beside weights."""
        return {**self.fixed, **self.average}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take averaged weights back."""
        for name, value in self.state_dict().items():
            value.copy_(state[name])


class PowerEMA(EMA):
    """An average whose memory is a fixed share of the training so far: its profile is tau^gamma.

    Its decay at update t is (1 - 1 / t)^(gamma + 1), so the first one replaces the initial weights.
    Source: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", CVPR
    2024, equations 5 and 6.
    """

    def __init__(self, net: nn.Module, sigma_rel: float):
        super().__init__(net, 0.0)
        self.sigma_rel, self.gamma = sigma_rel, gamma_of(sigma_rel)
        # A tensor, since a captured update reads it anew.
        self.lerp_weight = next(iter(self.average.values())).new_zeros(())

    def set_decay(self, update: int) -> None:
        """Set the decay of an update, counted from 1; `move` is then the same work in every one."""
        self.lerp_weight.fill_(1 - (1 - 1 / update) ** (self.gamma + 1))

    @torch.no_grad()
    def update(self) -> None:
        """Move every average towards its weight."""
        for name, average in self.average.items():
            average.lerp_(self.source[name], self.lerp_weight)

    def snapshot(self) -> dict[str, Tensor]:
        """Return the averaged weights in half precision, under names that say whose they are."""
        width = f"{self.sigma_rel:g}"
        return {f"{width}.{name}": value.half().cpu() for name, value in self.average.items()}
