"""The training loop: progress, the history, saving and stopping.

The host waits for the device only when a row of the history is due.
"""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltdm.plumbing.errors import Interruption, LtdmError
from ltdm.plumbing.progress import Progress
from ltdm.plumbing.stopping import StopRequest
from ltdm.training.learner import Learner
from ltdm.training.schedule import learning_rate, save_interval

log = logging.getLogger("ltdm")
DIVERGED = 1e3  # times the first row's loss


class Trainer(Learner):
    """Fits a network."""

    def fit(
        self,
        save: Callable[[dict[str, Any]], None],
        what: str = "training",
        stop: StopRequest | None = None,
        progress: Path | None = None,
        keep: Callable[[int, dict[str, Tensor]], None] | None = None,
    ) -> None:
        """Run all updates that are left, giving the state to `save` now and then.

        `what` is the progress's name, and `progress` a file where others can read it. `stop` is
        asked after each update whether the work must end. `keep` is called with an update and the
        snapshots after it, where `train.posthoc_ema` asks for them.

        Raises:
            Interruption: It must end; the state is saved.
            LtdmError: Training diverged.
        """
        interval, saved, cost = save_interval(), time.monotonic(), 0.0
        devices = [self.device] if self.device.type == "cuda" else []
        due = self.options.posthoc_ema.at(self.until) if self.options.posthoc_ema else []
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
                why, now = stop.reason(cost) if stop and unfinished else None, time.monotonic()
                if why or (logs and unfinished and now - saved >= interval):
                    self._means()  # a state that has diverged is never saved
                    save(self.state())
                    saved = time.monotonic()
                    cost = saved - now
                    interval = save_interval(cost)
                if stop and why:
                    raise Interruption(
                        f"stopped at update {self.update:,} of {self.until:,}, since {why}; the"
                        " state is saved, and the same command goes on from there",
                        should_requeue=stop.should_requeue(),
                    )

    def _log(self) -> None:
        """Add the means since the last row to the history; the only wait for the device."""
        means = self._means()
        for total in self.sums.values():
            total.zero_()
        rate = learning_rate(self.options, self.update - 1, self.batches.size)
        images = self.update * self.batches.size
        self.history.append({"update": self.update, "images": images, "lr": rate, **means})

    def _means(self) -> dict[str, float]:
        """Return the means since the last row, nothing right after it; stop what has diverged."""
        rows = self.update - (self.history[-1]["update"] if self.history else 0)
        if not rows:
            return {}
        means = {name: float(total) / rows for name, total in self.sums.items()}
        first = _size(self.history[0]) if self.history else math.inf
        finite = math.isfinite(means["loss"]) and math.isfinite(means["grad_norm"])
        if not finite or _size(means) > DIVERGED * first:
            raise LtdmError(
                f"training diverged before update {self.update}: the loss is {means['loss']:.4g},"
                f" the gradient's norm {means['grad_norm']:.4g}; lower train.lr, lengthen"
                " train.warmup_steps, or set train.precision to fp32"
            )
        return means


def _size(row: dict[str, float]) -> float:
    """Return a row's loss before the learnt uncertainty weighs it, which may make it negative."""
    return row["loss"] - row.get("uncertainty", 0.0)
