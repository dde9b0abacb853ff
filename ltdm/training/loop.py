"""The training loop: it does not know which network, process or objective it runs.

Each update re-seeds every generator from (seed, update), so a run that was interrupted ends with
the same bytes as one that was not (on the CPU; a GPU adds in no fixed order). The host waits for
the device only when a row of the history is due.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ltdm.diffusion._base import Process
from ltdm.errors import LtdmError, Stopped
from ltdm.magnitude import force
from ltdm.methods._base import Batch
from ltdm.methods._objective import Objective
from ltdm.networks._players import Players
from ltdm.networks._predictor import Predictor, Share, placed
from ltdm.progress import Progress
from ltdm.seeding import derive, owners
from ltdm.stopping import Stop
from ltdm.streams import Streams
from ltdm.training.batches import Batches
from ltdm.training.ema import EMA, PowerEMA
from ltdm.training.options import TrainOptions
from ltdm.training.schedule import learning_rate, save_interval

log = logging.getLogger("ltdm")
DIVERGED = 1e3  # times the first row's loss


class Trainer:
    """Fits a network; its whole state can be saved and taken back between two updates."""

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
        self.net = placed(net, device).train()
        self.share = Share.here()
        self.predict = Predictor(self.net, device, options.precision, options.compile, self.share)
        nets = list(self.net.nets) if isinstance(self.net, Players) else [self.net]
        self.groups = [list(one.parameters()) for one in nets]
        self.beside = [*self.method.parameters(), *self.process.parameters()]
        self._average()
        every = [p for group in (*self.groups, self.beside) for p in group]
        beta1, beta2 = options.betas
        self.optimiser = torch.optim.Adam(every, lr=options.lr, betas=(beta1, beta2), fused=True)
        self.owners = owners(seed, len(batches.draws))
        self.streams = Streams.on(device, len(self.owners))
        self.until = options.updates
        self.update = 0
        self.history: list[dict[str, float]] = []
        self.sums: dict[str, Tensor] = {}

    def fit(
        self,
        save: Callable[[dict[str, Any]], None],
        what: str = "training",
        stop: Stop | None = None,
        progress: Path | None = None,
        keep: Callable[[int, dict[str, Tensor]], None] | None = None,
    ) -> None:
        """Run all updates that are left, giving the state to `save` now and then.

        Args:
            save: Called with `state()`.
            what: What the progress is called.
            stop: Asked after each update whether the work must end.
            progress: Where others can read how far it is.
            keep: Called with an update and the snapshots after it, where `train.posthoc` asks.

        Raises:
            Stopped: It must end; the state is saved.
            LtdmError: Training diverged.
        """
        interval, saved, cost = save_interval(), time.monotonic(), 0.0
        devices = [self.device] if self.device.type == "cuda" else []
        due = self.options.posthoc.at(self.until) if self.options.posthoc else []
        shown = Progress(what, self.until, "updates", self.update, progress, self.batches.size)
        with torch.random.fork_rng(devices), shown:
            while self.update < self.until:
                self.step()
                if keep and self.update in due:
                    keep(self.update, self.snapshots())
                unfinished, note = self.update < self.until, ""
                logs = self.update % self.options.log_every == 0 or not unfinished
                if logs:
                    self._log()
                    note = f"loss {self.history[-1]['loss']:.4f}"
                shown.advance(1, note)
                why, now = stop.why(cost) if stop and unfinished else None, time.monotonic()
                if why or (logs and unfinished and now - saved >= interval):
                    self._means()  # a state that has diverged is never saved
                    save(self.state())
                    saved = time.monotonic()
                    cost = saved - now
                    interval = save_interval(cost)
                if stop and why:
                    raise Stopped(
                        f"stopped at update {self.update:,} of {self.until:,}, since {why}; the"
                        " state is saved, and the same command goes on from there",
                        for_time=stop.worth_another(),
                    )

    def state(self) -> dict[str, Any]:
        """Return everything that the next update depends on."""
        return {
            "update": self.update,
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "powers": [one.state_dict() for one in self.powers],
            "optimiser": self.optimiser.state_dict(),
            "method": self.method.state_dict(),
            "process": self.process.state_dict(),
            "history": self.history,
            "sums": self.sums,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.net.load_state_dict(state["net"])
        self.ema.load_state_dict(state["ema"])
        for one, known in zip(self.powers, state["powers"], strict=True):
            one.load_state_dict(known)
        self.optimiser.load_state_dict(state["optimiser"])
        self.method.load_state_dict(state["method"])
        self.process.load_state_dict(state["process"])
        self.update, self.history = state["update"], list(state["history"])
        self.sums = dict(state["sums"])

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
        """Return the averages that `train.posthoc` asks for, in half precision, on the host."""
        return {name: t for one in self.powers for name, t in one.snapshot().items()}

    def _average(self) -> None:
        """Begin all averages of the weights."""
        asked = self.options.posthoc
        self.ema = EMA(self.net, self.options.ema)
        self.powers = [PowerEMA(self.net, width) for width in asked.sigma_rel] if asked else []

    def serve(self, share: np.ndarray, owner: int, until: int) -> None:
        """Train on some of the images from now on, by another owner of draws, up to an update."""
        self.batches.deal(share, owner)
        self.owners, self.until = owners(owner, len(self.batches.draws)), until

    def step(self) -> None:
        """Make one update; nothing in it waits for the device."""
        mine = (self.share.rank,) if self.share.rank else ()  # each process has masks of its own
        dropout = [derive("dropout", owner, *mine, self.update) for owner in self.owners]
        torch.manual_seed(dropout[0])
        if isinstance(self.net, Players):
            self.net.seeds = dropout
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.options, self.update, self.batches.size)
        turns = list(self._turns())
        for batch, streams in turns:
            for name, value in self._descend(batch, streams).items():
                self.sums[name] = self.sums.get(name, 0) + value.detach() / len(turns)
        self.update += 1
        for average in (self.ema, *self.powers) if self.share.leads else ():
            average.update(self.update)

    def _turns(self) -> Iterator[tuple[Batch, Streams]]:
        """Yield what each optimiser step of an update works on: one, or one for each block."""
        batch, number = self.batches.draw(self.update), len(self.owners)
        streams = self.streams.seed([derive("noise", owner, self.update) for owner in self.owners])
        if not self.method.in_turns:
            yield batch, streams
            return
        size = self.batches.size // number
        for k in range(number):
            yield batch.part(slice(k * size, (k + 1) * size)), streams.only(k)

    def _descend(self, batch: Batch, streams: Streams) -> dict[str, Tensor]:
        """Make one optimiser step; return the loss, its terms and the gradient's norm.

        Separate networks each have a loss and a norm of their own; what is returned is their mean.
        """
        networks = len(self.groups)
        self.optimiser.zero_grad(set_to_none=True)  # before the pass: gradients are large
        losses = self.method.loss(self.predict, batch, self.process, streams)
        terms = {name: term.view(networks, -1).mean(1) for name, term in losses.items()}
        loss = torch.stack(list(terms.values())).sum(0)
        loss.sum().backward()
        most = self.options.clip or math.inf
        clip = [nn.utils.clip_grad_norm_(group, most) for group in self.groups]
        nn.utils.clip_grad_norm_(self.beside, most)
        self.optimiser.step()
        force(self.net, self.process)
        told = {"loss": loss, **terms, "grad_norm": torch.stack(clip)}
        return {name: value.mean() for name, value in told.items()}

    def _log(self) -> None:
        """Add the means since the last row to the history; the only wait for the device."""
        means, self.sums = self._means(), {}
        self.history.append(
            {
                "update": self.update,
                "images": self.update * self.batches.size,
                "lr": learning_rate(self.options, self.update - 1, self.batches.size),
                **means,
            }
        )

    def _means(self) -> dict[str, float]:
        """Return the means since the last row; nothing right after it.

        Raises:
            LtdmError: The loss is no longer a number, or has run away.
        """
        if not self.sums:
            return {}
        rows = self.update - (self.history[-1]["update"] if self.history else 0)
        means = {name: float(total) / rows for name, total in self.sums.items()}
        first = _size(self.history[0]) if self.history else math.inf
        finite = math.isfinite(means["loss"]) and math.isfinite(means["grad_norm"])
        if not finite or _size(means) > DIVERGED * first:
            raise LtdmError(
                f"training diverged before update {self.update}: the loss is {means['loss']:.4g},"
                f" the gradient's norm {means['grad_norm']:.4g}; lower train.lr, lengthen"
                " train.warmup, or set train.precision to fp32"
            )
        return means


def _size(row: dict[str, float]) -> float:
    """Return a row's loss before the learnt uncertainty weighs it, which may make it negative."""
    return row["loss"] - row.get("uncertainty", 0.0)
