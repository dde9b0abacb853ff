"""What a training shows while it runs: event files for TensorBoard, and sample sheets.

Nothing here can change a number of the training, so the code digest leaves this module out, and
what only it imports: the samplers, for example. It reads rows of the history, which are on the host
already, and so never waits for the device; `previews` says why sheets leave no trace. Its errors
are logged, and the training goes on.
"""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ltdm.training.events import PATTERN, EventFile, remove_event_files
from ltdm.training.loop import Trainer
from ltdm.training.previews import Previewer

log = logging.getLogger("ltdm")
EVENTS, PREVIEWS = "tensorboard", "previews"
"""The folders, and what a warning calls their content."""
NOT_PLOTTED = ("step", "images")  # columns of the history


class LiveView:
    """Shows a training in the run's `folder`, as `train.tensorboard` and `preview_every` say.

    It begins at the trainer's current step. What other trainings left is removed, whatever the
    options are: all sheets where the training begins, and event files with another `key`, which is
    the run's. `shard` is that of an ensemble, whose steps count over all shards, as in history.csv.
    `metadata` and `seed` are those of a `Previewer`.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        trainer: Trainer,
        metadata: Mapping[str, Any],
        seed: int,
        shard: int | None = None,
    ):
        part, ensemble = "" if shard is None else f"shard-{shard}", trainer.options.ensemble
        self.event_folder, self.preview_folder = folder / EVENTS / part, folder / PREVIEWS / part
        self.key, self.trainer = key, trainer
        self.step_factor = ensemble.shards if ensemble else 1
        self.previewer: Previewer | None = None
        self.events: EventFile | None = None
        self.failed: set[str] = set()
        self.row_time, self.row_step = time.monotonic(), trainer.step_count
        begins = not trainer.step_count and not shard  # the first shard is trained first
        self._attempt(EVENTS, lambda: remove_event_files(folder / EVENTS, None if begins else key))
        if begins:
            self._attempt(PREVIEWS, lambda: _remove_previews(folder / PREVIEWS))
        if trainer.options.tensorboard:
            self._attempt(EVENTS, self._open_events)
        if trainer.options.preview_every:
            self._attempt(PREVIEWS, lambda: self._make_previewer(metadata, seed))

    def after_step(self, has_row: bool) -> None:
        """Write what is due after a training step, which may have added a row to the history."""
        every = self.trainer.options.preview_every
        if has_row and self.events:
            self._attempt(EVENTS, self._write_row)
        if every and self.previewer and self.trainer.step_count % every == 0:
            started = time.monotonic()
            self._attempt(PREVIEWS, self._write_preview)
            self.row_time += time.monotonic() - started  # it is not spent on training

    def _attempt(self, what: str, work: Callable[[], None]) -> None:
        """Do some work; of errors the first is logged. An event file ends with its first one."""
        try:
            work()
        except Exception as error:  # of a disk, of a GPU without memory, of a diverging network
            if what == EVENTS:
                self.events = None
            if what not in self.failed:
                reason = str(error).partition("\n")[0] or type(error).__name__
                log.warning("the training goes on without its %s: %s", what, reason)
            self.failed.add(what)

    def _open_events(self) -> None:
        """Start an event file; earlier ones of this training count up to its current step."""
        step = self.trainer.step_count
        is_continued = any(self.event_folder.glob(PATTERN))
        self.events = EventFile(self.event_folder, self.key, step * self.step_factor + 1)
        for row in () if is_continued else self.trainer.history:
            self._write_scalars(row)

    def _write_row(self) -> None:
        """Write the history's last row, and the images per second since the row before."""
        trainer, now = self.trainer, time.monotonic()
        images = (trainer.step_count - self.row_step) * trainer.batches.size
        speed = images / max(now - self.row_time, 1e-9)
        self.row_time, self.row_step = now, trainer.step_count
        self._write_scalars({**trainer.history[-1], "images_per_second": speed})

    def _write_scalars(self, row: Mapping[str, float]) -> None:
        if self.events:
            scalars = {name: value for name, value in row.items() if name not in NOT_PLOTTED}
            self.events.write_scalars(int(row["step"]) * self.step_factor, scalars)

    def _make_previewer(self, metadata: Mapping[str, Any], seed: int) -> None:
        self.previewer = Previewer(self.trainer, metadata, seed)

    def _write_preview(self) -> None:
        step = self.trainer.step_count * self.step_factor
        path = self.preview_folder / f"step-{step:07d}.png"
        if self.previewer:
            self.previewer.write(path)
        if events := self.events:
            self._attempt(EVENTS, lambda: events.write_picture(step, "preview", path))


def _remove_previews(folder: Path) -> None:
    """Remove the sheets in a folder and below."""
    for file in [*folder.rglob("step-*.png")]:
        file.unlink()
