"""A network in use: mixed precision, a count of what it costs, and rows shared out to processes.

Several processes train one network like this: each makes the same draws and works out the whole
objective, but runs only its share of the rows that the network is asked about, and gathers what the
network says of the others. So every objective, whatever it does with a batch, is the same one.
"""

import warnings
from typing import Any, NamedTuple, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ltdm.core.device import memory_layout, precision_context, resolve_precision
from ltdm.networks._half import HalfWeights
from ltdm.networks._players import Players
from ltdm.plumbing.compiling import use_compile_cache


def placed(net: nn.Module, device: torch.device, precision: str) -> nn.Module:
    """Return the network on the device, in the layout that suits its convolutions there."""
    moved = net.to(device)
    if isinstance(net, Players):  # whose weights have a dimension more
        return moved
    return moved.to(memory_format=memory_layout(precision, device))


def together(net: nn.Module) -> nn.Module:
    """Return the network with its gradients averaged over all processes."""
    with warnings.catch_warnings():
        # Newer releases of PyTorch have another name for it, which others do not know.
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(net, broadcast_buffers=False)


class Share(NamedTuple):
    """Which rows are this process's: every world-th, from its rank on.

    Where a batch is made of blocks, each block is shared out in the same way.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def here(cls) -> "Share":
        """Return this process's; all rows, where it trains alone."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def of(self, rows: Tensor) -> Tensor:
        """Return this process's rows; where they do not divide, some get the first one too."""
        return self._mine(rows, rows[:1])

    def back(self, gradient: Tensor) -> Tensor:
        """Return the gradient of what `of` gave, from that of all rows."""
        return self._mine(gradient, torch.zeros_like(gradient[:1]))

    def _mine(self, rows: Tensor, filler: Tensor) -> Tensor:
        mine = rows[self.rank :: self.world]
        return mine if len(mine) * self.world >= len(rows) else torch.cat([mine, filler])


ALONE = Share()


class Gathered(torch.autograd.Function):
    """All rows in order, from every process's share; the gradient goes to a process's own rows.

    Times `world`, since what is then averaged over the processes, the gradients of the weights, is
    to be added up.
    """

    @staticmethod
    def forward(ctx: Any, mine: Tensor, share: Share, rows: int) -> Tensor:
        """Map (b, ...) of each process to (rows, ...)."""
        ctx.share = share
        every = mine.new_empty((share.world * len(mine), *mine.shape[1:]))
        dist.all_gather_into_tensor(every, mine.contiguous())
        return every.unflatten(0, (share.world, -1)).transpose(0, 1).flatten(0, 1)[:rows]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Map (rows, ...) to (b, ...)."""
        return ctx.share.back(gradient) * ctx.share.world, None, None


class Predictor:
    """A network as a function in mixed precision, float32 out, that counts its evaluations.

    `precision` is "auto", "bf16", "bf16-master", "tf32" or "fp32"; the attribute says what "auto"
    comes to. If `compiled`, the network is compiled for each shape that it is asked for. `share`
    says which rows this process runs, of all that it is asked about.

    Attributes:
        forward: Images that went through the network so far, of all processes.
        backward: Those of them that a gradient can come back from.
        encoder: Images that went through the way down and the middle only, with a gradient.
    """

    def __init__(
        self,
        net: nn.Module,
        device: torch.device,
        precision: str,
        compiled: bool = False,
        share: Share = ALONE,
    ):
        self.share, self.device, self.precision = (
            share,
            device,
            resolve_precision(precision, device),
        )
        half, self.context = self.precision == "bf16-master", self.precision
        # Under vmap autocast acts too late: a stack of networks would run in float32.
        if half or (self.precision == "bf16" and isinstance(net, Players)):
            net, self.context = HalfWeights(net), "fp32"
        if compiled:
            use_compile_cache(device)
        self.call = cast(nn.Module, torch.compile(net, dynamic=False)) if compiled else net
        self.trained = together(self.call) if share.world > 1 else self.call
        self.recount()

    def __call__(self, x: Tensor, *rest: Tensor | None) -> Tensor:
        """Return F = net(x, level, labels, augment)."""
        self._count(len(x))
        return self._said(x, *rest)[0]

    def both(self, x: Tensor, *rest: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return F and the bottleneck."""
        self._count(len(x))
        F, z = self._said(x, *rest, want="both")
        return F, z

    def bottleneck(self, x: Tensor, *rest: Tensor | None) -> Tensor:
        """Return the bottleneck; the way up is not computed."""
        self.encoder += len(x)
        return self._said(x, *rest, want="z")[0]

    def taps(self, number: int, x: Tensor, *rest: Tensor | None) -> list[Tensor]:
        """Return what the first blocks of the way up say, each (B, width), without a gradient."""
        with torch.no_grad():
            return self._said(x, *rest, taps=number)

    def recount(self) -> None:
        """Count from nothing again."""
        self.forward = self.backward = self.encoder = 0

    def counted(self, images: int) -> dict[str, float]:
        """Return the evaluations per image so far."""
        counts = {"forward": self.forward, "backward": self.backward, "encoder": self.encoder}
        return {name: count / images for name, count in counts.items()}

    def _count(self, rows: int) -> None:
        self.forward += rows
        self.backward += rows if torch.is_grad_enabled() else 0

    def _said(self, x: Tensor, *rest: Tensor | None, **want: str | int) -> list[Tensor]:
        """Return what the network says of all rows, of which each process runs its share."""
        inputs, alone = (x, *rest), self.share.world == 1
        net = self.trained if torch.is_grad_enabled() else self.call
        with precision_context(self.context, self.device):
            said = net(*(t if t is None or alone else self.share.of(t) for t in inputs), **want)
            parts = [t.float() for t in (said if isinstance(said, tuple) else (said,))]
        return parts if alone else [Gathered.apply(t, self.share, len(x)) for t in parts]
