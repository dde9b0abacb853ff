"""Running a network: mixed precision, a count of its evaluations, rows divided among processes.

Several processes train one network as follows. Each makes the same draws and computes the complete
objective, but runs the network only on its share of the rows and gathers the outputs of the others.
So every objective, whatever it does with a batch, is the same on any number of processes.
"""

import warnings
from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ltdm.core.device import memory_layout, precision_context, resolve_precision
from ltdm.networks._half import HalfWeights
from ltdm.networks._per_class import PerClassNetworks
from ltdm.networks._reserve import NO_PLAIN_ROWS, PlainRows
from ltdm.plumbing.compiling import use_compile_cache


def to_device(net: nn.Module, device: torch.device, precision: str) -> nn.Module:
    """Move the network to the device, in the memory layout that suits its convolutions there."""
    net = net.to(device)
    if isinstance(net, PerClassNetworks):  # its stacked weights have one dimension more
        return net
    return net.to(memory_format=memory_layout(precision, device))


def wrap_ddp(net: nn.Module) -> nn.Module:
    """Return the network with its gradients averaged over all processes."""
    with warnings.catch_warnings():
        # PyTorch 2.13 deprecates `broadcast_buffers`; older releases do not know its successor.
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(net, broadcast_buffers=False)


class RankShare(NamedTuple):
    """The rows that this process runs: every world-th, from its rank on.

    If a batch consists of blocks of rows, each block is divided in the same way.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def current(cls) -> "RankShare":
        """Return this process's share; all rows if it trains alone."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    def take_rows(self, rows: Tensor) -> Tensor:
        """Return this process's rows; if they do not divide evenly, some get the first row too."""
        return self._take(rows, rows[:1])

    def take_gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient of `take_rows`' output from that of all rows."""
        return self._take(gradient, torch.zeros_like(gradient[:1]))

    def _take(self, rows: Tensor, filler: Tensor) -> Tensor:
        own_rows = rows[self.rank :: self.world]
        complete = len(own_rows) * self.world >= len(rows)
        return own_rows if complete else torch.cat([own_rows, filler])


SINGLE_PROCESS = RankShare()


class AllGatherRows(torch.autograd.Function):
    """Gathers all rows, in order, from the processes' shares; gradients reach the own rows only.

    The gradient is multiplied by `world`, since DDP averages the weights' gradients over processes
    where their sum is needed.
    """

    @staticmethod
    def forward(ctx: Any, own_rows: Tensor, share: RankShare, rows: int) -> Tensor:
        """Map (b, ...) of each process to (rows, ...)."""
        ctx.share = share
        gathered = own_rows.new_empty((share.world * len(own_rows), *own_rows.shape[1:]))
        dist.all_gather_into_tensor(gathered, own_rows.contiguous())
        return gathered.unflatten(0, (share.world, -1)).transpose(0, 1).flatten(0, 1)[:rows]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Map (rows, ...) to (b, ...)."""
        return ctx.share.take_gradient(gradient) * ctx.share.world, None, None


class Predictor:
    """A network as a function in mixed precision that returns float32 and counts evaluations.

    `precision` is "auto", "bf16", "bf16-master", "tf32" or "fp32"; the attribute `precision` has
    what "auto" resolves to. With `compiled`, the network is compiled per shape of its inputs.
    `share` selects the rows that this process runs.

    Attributes:
        forward: Images that went through the network so far, over all processes.
        backward: Those of them that a gradient can flow back from.
        encoder: Images that went through encoder and middle blocks only, with a gradient.
        decoder: Images that went through the decoder once more, with a gradient.
    """

    def __init__(
        self,
        net: nn.Module,
        device: torch.device,
        precision: str,
        compiled: bool = False,
        share: RankShare = SINGLE_PROCESS,
    ):
        self.share, self.device = share, device
        self.precision = resolve_precision(precision, device)
        master, self.context = self.precision == "bf16-master", self.precision
        # Under vmap autocast acts too late: stacked networks would run in float32.
        if master or (self.precision == "bf16" and isinstance(net, PerClassNetworks)):
            net, self.context = HalfWeights(net), "fp32"
        if compiled:
            use_compile_cache(device)
        self.net = cast(nn.Module, torch.compile(net, dynamic=False)) if compiled else net
        self.ddp_net = wrap_ddp(self.net) if share.world > 1 else self.net
        self.reset_counts()

    def __call__(self, x: Tensor, *rest: Tensor | None) -> Tensor:
        """Return F = net(x, level, labels, augment)."""
        self._count(len(x))
        return self._run(x, *rest)[0]

    def all_outputs(
        self, x: Tensor, *rest: Tensor | None, plain: PlainRows = NO_PLAIN_ROWS
    ) -> list[Tensor]:
        """Return F, the bottleneck z (B, d), and F of the `plain` rows without the reserve."""
        self._count(len(x) + (0 if plain.shared else plain.count))
        self.decoder += plain.count if plain.shared else 0
        return self._run(x, *rest, outputs="both", plain=plain)

    def bottleneck(self, x: Tensor, *rest: Tensor | None) -> Tensor:
        """Return the bottleneck z, (B, d), without running the decoder."""
        self.encoder += len(x)
        return self._run(x, *rest, outputs="z")[0]

    def decoder_features(self, number: int, x: Tensor, *rest: Tensor | None) -> list[Tensor]:
        """Return the first decoder blocks' outputs, averaged over positions; no gradient.

        There are `number` of them, (B, width) each; later blocks are not computed.
        """
        with torch.no_grad():
            return self._run(x, *rest, decoder_blocks=number)

    def reset_counts(self) -> None:
        """Set all counts to zero."""
        self.forward = self.backward = self.encoder = self.decoder = 0

    def calls_per_image(self, images: int) -> dict[str, float]:
        """Return the counts so far, divided by `images`."""
        names = ("forward", "backward", "encoder", "decoder")
        return {name: getattr(self, name) / images for name in names}

    def _count(self, rows: int) -> None:
        self.forward += rows
        self.backward += rows if torch.is_grad_enabled() else 0

    def _run(
        self,
        x: Tensor,
        *rest: Tensor | None,
        plain: PlainRows = NO_PLAIN_ROWS,
        **options: Any,
    ) -> list[Tensor]:
        """Return the network's outputs for all rows, of which each process runs its share."""
        inputs, single = (x, *rest), self.share.world == 1
        if not single:
            inputs = tuple(t if t is None else self.share.take_rows(t) for t in inputs)
        if plain.count:
            own_count = -(-plain.count // self.share.world)
            options["plain"] = replace(plain, count=own_count)
        net = self.ddp_net if torch.is_grad_enabled() else self.net
        with precision_context(self.context, self.device):
            outputs = net(*inputs, **options)
            parts = [t.float() for t in (outputs if isinstance(outputs, tuple) else (outputs,))]
        if single:
            return parts
        rows = [len(x)] * len(parts)
        if plain.count:
            rows[-1] = plain.count  # F without the reserve comes last
        return [AllGatherRows.apply(t, self.share, n) for t, n in zip(parts, rows, strict=True)]
