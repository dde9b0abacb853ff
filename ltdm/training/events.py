"""Event files for TensorBoard, written at once and without a thread.

PyTorch's `SummaryWriter` writes from a thread: the error of a full disk would come rows later, and
as a traceback. So this uses what that is made of, TensorBoard's messages and record writer.
"""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

PATTERN = "events.out.tfevents.*"


class EventFile:
    """A new event file of a training, in a folder that may have older ones.

    TensorBoard hides what the older ones have from the step `first_step` on. `key` is the run's.
    Every method raises OSError where the disk is full.
    """

    def __init__(self, folder: Path, key: str, first_step: int):
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary, self._records = (
            event_pb2.Event,
            summary_pb2.Summary,
            RecordWriter,
        )
        folder.mkdir(parents=True, exist_ok=True)
        # Readers take the files in the order of their names.
        stamp = f"{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        self.path = folder / f"{PATTERN[:-1]}{stamp}.{key}"
        self._write(file_version="brain.Event:2")
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(step=first_step, session_log=start)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write numbers by name at a step."""
        values = [self._summary.Value(tag=tag, simple_value=v) for tag, v in scalars.items()]
        self._write(step=step, summary=self._summary(value=values))

    def write_picture(self, step: int, tag: str, png: Path) -> None:
        """Write the picture of a PNG file at a step."""
        with Image.open(png) as picture:
            width, height = picture.size
        image = self._summary.Image(
            width=width, height=height, colorspace=3, encoded_image_string=png.read_bytes()
        )
        value = self._summary.Value(tag=tag, image=image)
        self._write(step=step, summary=self._summary(value=[value]))

    def _write(self, **fields: Any) -> None:
        """Append an event; the file is closed, so that a process that dies loses none."""
        event = self._event(wall_time=time.time(), **fields)
        with open(self.path, "ab") as file:
            self._records(file).write(event.SerializeToString())


def remove_event_files(folder: Path, but: str | None = None) -> None:
    """Remove the event files in a folder and below, except those of the run with the key `but`."""
    for file in [*folder.rglob(PATTERN)]:
        if not (but and file.name.endswith(f".{but}")):
            file.unlink()
