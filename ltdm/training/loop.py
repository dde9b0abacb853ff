"""The training loop: progress, history, saving and stopping.

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
DIVERGENCE_FACTOR = 1e3  # times the first row's denoising loss


class Trainer(Learner):
    """Fits a network."""

    def fit(
        self,
        save: Callable[[dict[str, Any]], None],
        label: str = "training",
        stop: StopRequest | None = None,
        progress_file: Path | None = None,
        save_snapshot: Callable[[int, dict[str, Tensor]], None] | None = None,
        after_step: Callable[[bool], None] | None = None,
    ) -> None:
        """Make all remaining training steps, and pass the state to `save` now and then.

        `label` names the progress, and other processes can read it in `progress_file`. `stop` is
        checked after each step. `save_snapshot` gets step count and averages where
        `train.posthoc_ema` takes a snapshot; `after_step`, whether a step added a row of history.

        Raises:
            Interruption: `stop` requested it; the state is saved.
            LtdmError: Training diverged.
        """
        interval, last_save, save_cost = save_interval(), time.monotonic(), 0.0
        devices = [self.device] if self.device.type == "cuda" else []
        progress = Progress(
            label, self.last_step, "steps", self.step_count, progress_file, self.batches.size
        )
        with torch.random.fork_rng(devices), progress:
            while self.step_count < self.last_step:
                has_row = self._step_and_log(progress, save_snapshot)
                if after_step:
                    after_step(has_row)
                if self.step_count == self.last_step:
                    break
                reason, now = stop.reason(save_cost) if stop else None, time.monotonic()
                if reason or (has_row and now - last_save >= interval):
                    self._means()  # raises where training diverged: such a state is never saved
                    save(self.state())
                    last_save = time.monotonic()
                    save_cost = last_save - now
                    interval = save_interval(save_cost)
                if stop and reason:
                    raise self._interruption(stop, reason)

    def _step_and_log(
        self,
        progress: Progress,
        save_snapshot: Callable[[int, dict[str, Tensor]], None] | None,
    ) -> bool:
        """Make one training step; return whether it ended with a row of the history."""
        self.step()
        if save_snapshot and self.step_count in self.snapshot_steps():
            save_snapshot(self.step_count, self.snapshots())
        has_row = self.step_count % self.options.log_every == 0 or self.step_count == self.last_step
        note = ""
        if has_row:
            self._log()
            note = f"loss {self.history[-1]['loss']:.4f}"
        progress.advance(1, note)
        return has_row

    def _interruption(self, stop: StopRequest, reason: str) -> Interruption:
        """Return the exception of a stop after the state was saved."""
        return Interruption(
            f"stopped at step {self.step_count:,} of {self.last_step:,}, since {reason}; the state"
            " is saved, and the same command resumes from it",
            should_requeue=stop.should_requeue(),
        )

    def _log(self) -> None:
        """Append the means since the last row to the history; the only wait for the device."""
        means = self._means()
        for total in self.loss_sums.values():
            total.zero_()
        lr = learning_rate(self.options, self.step_count - 1, self.batches.size)
        images = self.step_count * self.batches.size
        self.history.append({"step": self.step_count, "images": images, "lr": lr, **means})

    def _means(self) -> dict[str, float]:
        """Return the means since the last row, none right after it; raise if training diverged."""
        steps = self.step_count - (self.history[-1]["step"] if self.history else 0)
        if not steps:
            return {}
        means = {name: float(total) / steps for name, total in self.loss_sums.items()}
        finite = math.isfinite(means["loss"]) and math.isfinite(means["grad_norm"])
        # Not of all losses together, which may be below 0 from the start.
        first = self.history[0]["denoise"] if self.history else math.inf
        if not finite or means["denoise"] > DIVERGENCE_FACTOR * first:
            raise LtdmError(
                f"training diverged before step {self.step_count}: the loss is"
                f" {means['loss']:.4g}, the gradient's norm {means['grad_norm']:.4g}; lower"
                " train.lr, lengthen train.warmup_steps, or set train.precision to fp32"
            )
        return _divide_by_images(means)


def _divide_by_images(means: dict[str, float]) -> dict[str, float]:
    """Return means per image of a group of classes in place of sums; none for a group without."""
    result = {}
    for name, value in means.items():
        loss, _, group = name.partition("@")
        images = means[f"images@{group}"] if group else 1
        if loss != "images" and images:
            result[name] = value / images
    return result
