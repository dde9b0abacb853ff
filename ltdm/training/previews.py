"""Sample sheets of a training while it runs, from its averaged weights.

They can change no number of the training. A sheet comes from a copy of the averaged weights in a
network of its own, without dropout. Building that network draws from a fork of PyTorch's generator;
the images' noise has generators of its own. On a GPU the copy shares no memory with the captured
graph of the training. So the code digest leaves this module and the samplers out (`live`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ltdm.core.seeding import derive_seed
from ltdm.data._base import default_class_names
from ltdm.diffusion._model import Model
from ltdm.plumbing.files import atomic_write
from ltdm.plumbing.options import parse
from ltdm.reporting.pictures import evenly_spaced, image_grid, to_png
from ltdm.samplers._generate import SampleGenerator
from ltdm.samplers._options import SampleOptions
from ltdm.training.learner import Learner

MAX_CLASSES = 20
IMAGES_PER_CLASS, POINTS_PER_CLASS = 4, 100
UNLABELLED_ROWS = 5  # of a network without labels
SAMPLERS = {"edm": ("heun", 8)}
"""Deterministic samplers and their steps, by process."""
OTHER_SAMPLER = ("ddim", 16)  # it suits every process; 16 evaluations, where heun has 15


class Previewer:
    """Draws sample sheets of a network in training; at each step the noise is the same.

    `metadata` is that of the network's file (`model_metadata`); `seed` is the run's. A sheet has a
    row per class, from head to tail: all classes, or `MAX_CLASSES` evenly spaced ones.
    """

    def __init__(self, learner: Learner, metadata: Mapping[str, Any], seed: int):
        self.learner, self.metadata = learner, metadata
        self.seed = derive_seed("preview", seed)
        self.columns = POINTS_PER_CLASS if metadata["points"] else IMAGES_PER_CLASS
        self.row_labels = self._row_labels()

    def _row_labels(self) -> np.ndarray:
        """Return the label of each row of the sheet, (R,); -1 for a network without labels."""
        if self.metadata["label"] == "nothing":
            return np.full(UNLABELLED_ROWS, -1)
        counts = np.bincount(self.learner.batches.labels, minlength=self.metadata["classes"])
        head_to_tail = np.argsort(-counts, kind="stable")
        return head_to_tail[evenly_spaced(len(counts), MAX_CLASSES)]

    def write(self, path: Path) -> None:
        """Write a sheet (PNG) of the current averaged weights; points become a scatter plot.

        Raises:
            LtdmError: An image is not finite, or the disk is full.
        """
        rows = np.arange(len(self.row_labels)).repeat(self.columns)
        images = self._generate(self.row_labels[rows])
        if self.metadata["points"]:
            self._write_plot(path, images, rows)
            return
        picture = image_grid(images, rows, [*range(len(self.row_labels))], self.columns)
        with atomic_write(path) as temporary:
            to_png(picture).save(temporary, format="png")

    @property
    def sampling(self) -> dict[str, Any]:
        """The options of the sheets' sampler, as in a config: deterministic, without guidance."""
        name, steps = SAMPLERS.get(self.metadata["process"]["name"], OTHER_SAMPLER)
        steps = min(steps, self.learner.process.timesteps or steps)
        clip = not self.metadata["points"]
        return {"sampler": {"name": name, "steps": steps, "clip_denoised": clip}}

    def _generate(self, labels: np.ndarray) -> np.ndarray:
        """Return an image for each label (N,): (N, C, H, W) uint8, or float32 points."""
        options, device = parse(SampleOptions, self.sampling), self.learner.device
        with torch.random.fork_rng([]):  # a network is built on the CPU, with random weights
            weights = self.learner.ema.state_dict()
            model = Model.from_tensors(weights, self.metadata, options.precision, device)
        generator, numbers = SampleGenerator(model, options, self.seed), np.arange(len(labels))
        if not generator.network_per_class:
            return generator.generate_batch(labels, numbers)
        parts = np.split(numbers, len(self.row_labels))
        return np.concatenate(
            [generator.generate_batch(labels[n], n, int(labels[n[0]])) for n in parts]
        )

    def _write_plot(self, path: Path, points: np.ndarray, rows: np.ndarray) -> None:
        """Plot points beside those of the training set, which set the limits at every step."""
        from ltdm.reporting import style
        from ltdm.reporting.points import plot_points

        batches, step = self.learner.batches, self.learner.step_count
        row_of_label = {label: row for row, label in enumerate(self.row_labels.tolist())}
        data_rows = np.array([row_of_label.get(label, -1) for label in batches.labels.tolist()])
        if -1 in row_of_label:
            rows, shown = np.full_like(rows, -1), np.full(len(data_rows), True)
        else:
            shown = data_rows >= 0
        data = batches.images.cpu().numpy()[shown], data_rows[shown]
        names = default_class_names(self.metadata["classes"])
        shown_names = [names[label] for label in self.row_labels if label >= 0]
        style.use()
        style.save(
            plot_points({"training set": data, f"step {step:,}": (points, rows)}, shown_names), path
        )
