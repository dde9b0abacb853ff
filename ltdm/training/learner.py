"""What one training update needs and does; nothing in it waits for the device.

It does not know which network, process or objective it trains. Each update re-seeds every generator
from (seed, update), so a run that was interrupted ends with the same bytes as one that was not (on
the CPU; a GPU adds in no fixed order).
"""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ltdm.core.seeding import derive_seed, owner_seeds
from ltdm.diffusion._base import Process
from ltdm.methods._base import Batch, draw_levels
from ltdm.methods._objective import Objective
from ltdm.methods._streams import Streams
from ltdm.networks._magnitude import force
from ltdm.networks._players import Players
from ltdm.networks._predictor import Predictor, Share, placed
from ltdm.training.batches import Batches
from ltdm.training.ema import EMA, PowerEMA
from ltdm.training.graph import UpdateGraph
from ltdm.training.optimiser import Optimiser
from ltdm.training.options import TrainOptions
from ltdm.training.schedule import learning_rate

log = logging.getLogger("ltdm")


class Learner:
    """A network with all that trains it; its state can be saved and taken back between updates.

    Attributes:
        update: Updates made so far.
        until: The last one.
        sums: Sums of the losses and the gradient's norm since the last row of the history.
        inputs: What the host draws for an update, on the device: `Batches.make` takes it.
        run: What does the device's part of an update.
        worked: How often the host launched that part kernel by kernel, or captured it.
        history: Rows of means, one every `log_every` updates.
    """

    PARTS = ("net", "ema", "optimiser", "method", "process")  # of the state, by their names in it

    def __init__(
        self,
        net: nn.Module,
        method: Objective,
        process: Process,
        batches: Batches,
        options: TrainOptions,
        seed: int,
    ):
        device = batches.device
        self.options, self.device = options, device
        self.batches, self.method, self.process = batches, method.to(device), process.to(device)
        self.net = placed(net, device, options.precision).train()
        self.share = Share.here()
        self.predict = Predictor(self.net, device, options.precision, options.compile, self.share)
        self._average()
        beside = [*self.method.parameters(), *self.process.parameters()]
        self.optimiser = Optimiser(self.net, beside, options, device)
        self.owners = owner_seeds(seed, len(batches.draws))
        self.streams = Streams.on(device, len(self.owners))
        self.until = options.steps
        self.update = self.worked = 0
        self.sums: dict[str, Tensor] = {}
        self.inputs: list[Tensor] = []
        self.history: list[dict[str, float]] = []
        self.release()

    def state(self) -> dict[str, Any]:
        """Return everything that the next update depends on, and the history."""
        return {
            "update": self.update,
            **{name: getattr(self, name).state_dict() for name in self.PARTS},
            "powers": [one.state_dict() for one in self.powers],
            "sums": self.sums,
            "history": self.history,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        for name in self.PARTS:
            getattr(self, name).load_state_dict(state[name])
        for one, known in zip(self.powers, state["powers"], strict=True):
            one.load_state_dict(known)
        self.update, self.history = state["update"], list(state["history"])
        self.sums = {name: total.clone() for name, total in state["sums"].items()}
        self.release()  # a graph knows the tensors that were there before

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Take another run's weights, averaged ones included; the optimiser starts afresh."""
        self.net.load_state_dict(weights)
        force(self.net)
        self._average()

    def take(self, net: dict[str, Tensor], ema: dict[str, Tensor]) -> None:
        """Go on from other weights and averages; the optimiser stays as it is."""
        self.net.load_state_dict(net)
        force(self.net)
        self.ema.load_state_dict(ema)

    def snapshots(self) -> dict[str, Tensor]:
        """Return the averages that `train.posthoc_ema` asks for, in half precision, on the host."""
        return {name: t for one in self.powers for name, t in one.snapshot().items()}

    def _average(self) -> None:
        """Begin all averages of the weights."""
        asked = self.options.posthoc_ema
        self.ema = EMA(self.net, self.options.ema_decay)
        self.powers = [PowerEMA(self.net, width) for width in asked.sigma_rel] if asked else []

    def serve(self, share: np.ndarray, owner: int, until: int) -> None:
        """Train on some of the images from now on, by another owner of draws, up to an update."""
        self.batches.deal(share, owner)
        self.owners, self.until = owner_seeds(owner, len(self.batches.draws)), until

    def step(self) -> None:
        """Make one update; nothing in it waits for the device.

        The host draws what differs from the update before and puts it into tensors that stay where
        they are; the device then does the same work in each, which may be a captured graph.
        """
        self._fill()
        self.run()
        self.update += 1

    def release(self) -> None:
        """Let go of the captured graph and its memory, if there is one; the next is made anew."""
        self.run: Callable[[], None] = self._work
        if self.options.graph == "none" or self.device.type != "cuda":
            return
        if self.share.world > 1:
            log.info("updates are launched kernel by kernel: several processes train together")
        else:
            self.run = UpdateGraph(self._work, self.streams.devices)

    def counted(self) -> dict[str, float]:
        """Return the network's evaluations an image; a captured update counts when captured."""
        return self.predict.counted(self.batches.size * max(self.worked, 1))

    def recount(self) -> None:
        """Count evaluations from nothing again."""
        self.predict.recount()
        self.worked = 0

    def _fill(self) -> None:
        """Seed every generator, and put an update's draws, rate and decays where it reads them."""
        mine = (self.share.rank,) if self.share.rank else ()  # each process has masks of its own
        dropout = [derive_seed("dropout", owner, *mine, self.update) for owner in self.owners]
        torch.manual_seed(dropout[0])
        if isinstance(self.net, Players):
            self.net.seeds = dropout
        self.optimiser.rate.fill_(learning_rate(self.options, self.update, self.batches.size))
        for average in self.powers:
            average.schedule(self.update + 1)
        self.streams.seed([derive_seed("noise", owner, self.update) for owner in self.owners])
        level = draw_levels(self.process, self.batches.size, self.streams)
        new = [level, *self.batches.draw(self.update)]
        if self.device.type == "cuda":
            new = [tensor.pin_memory() for tensor in new]  # or the host would wait for the copies
        if not self.inputs:
            self.inputs = [torch.empty_like(tensor, device=self.device) for tensor in new]
        for there, tensor in zip(self.inputs, new, strict=True):
            there.copy_(tensor, non_blocking=True)

    def _work(self) -> None:
        """Do the device's part of an update: the optimiser's steps, sums and averages."""
        turns = self._turns(self.batches.make(*self.inputs))
        for batch, streams in turns:
            for name, value in self._descend(batch, streams).items():
                if name not in self.sums:
                    self.sums[name] = torch.zeros_like(value)
                self.sums[name] += value.detach() / len(turns)
        for average in (self.ema, *self.powers) if self.share.leads else ():
            average.move()
        self.worked += 1

    def _turns(self, batch: Batch) -> list[tuple[Batch, Streams]]:
        """Return what each optimiser step of an update works on: all, or each block in turn."""
        if not self.method.in_turns:
            return [(batch, self.streams)]
        size = self.batches.size // len(self.owners)
        blocks = [slice(k * size, (k + 1) * size) for k in range(len(self.owners))]
        return [(batch.part(rows), self.streams.only(k)) for k, rows in enumerate(blocks)]

    def _descend(self, batch: Batch, streams: Streams) -> dict[str, Tensor]:
        """Make one optimiser step; return the loss, its terms and the gradient's norm.

        Separate networks each have a loss and a norm of their own; what is returned is their mean.
        """
        networks = self.optimiser.networks
        self.optimiser.zero_grad()  # before the pass: memory for both would not do
        losses = self.method.loss(self.predict, batch, self.process, streams)
        terms = {name: term.view(networks, -1).mean(1) for name, term in losses.items()}
        loss = torch.stack(list(terms.values())).sum(0)
        loss.sum().backward()
        found = {"loss": loss, **terms, "grad_norm": self.optimiser.step()}
        force(self.net, self.process)
        return {name: value.mean() for name, value in found.items()}
