"""What each run costs, measured: training and sampling speed, network evaluations, memory.

All runs take turns within one process, so the ratios hold while the machine's speed drifts. Of a
sample set that another network guides, the run's own stands for that one.
"""

import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from ltdm.config.datasets import Dataset
from ltdm.config.experiment import Experiment
from ltdm.config.runs import Run
from ltdm.core.device import pick
from ltdm.diffusion._model import Model
from ltdm.networks._predictor import Predictor, placed
from ltdm.pipeline.cost import network_cost
from ltdm.plumbing.option_values import changed
from ltdm.plumbing.progress import Progress
from ltdm.samplers._generate import BATCH, SampleGenerator
from ltdm.training.graph import WARM
from ltdm.training.setup import Recipe, described, make_trainer

COLUMNS = {
    "run": "run",
    "train_ms": "train: ms/update",
    "train_images_per_s": "images/s",
    "train_ratio": "x first",
    "forward": "evals/image: forward",
    "backward": "backward",
    "encoder": "encoder",
    "sample_images_per_s": "sample: images/s",
    "sample_ratio": "x first",
    "sample_evaluations": "evals/image",
    "train_tflops": "train: TFLOP/s",
    "sample_tflops": "sample: TFLOP/s",
    "probe_images_per_s": "probe: images/s",
    "probe_gain": "x whole forwards",
    "gpu_peak_mb": "GPU peak MB",
}
LAYER = 6
"""The block of the way up at which the probe's forward pass ends, or the last where fewer are."""


class Bench:
    """One run set up to train, to sample and to be probed."""

    def __init__(self, data: Dataset, run: Run, sample_set: str, device: torch.device):
        images, labels = noise_like(data)
        self.cuda, self.peak = device.type == "cuda", 0
        held = torch.cuda.memory_allocated()  # 0 where all is on the CPU
        recipe, options = Recipe.of(run.spec()), run.samples[sample_set]
        self.trainer = make_trainer(recipe, 0, images, labels, device)
        self.cost = network_cost(data, replace(run, samples={sample_set: options}), [])
        weights, about = dict(self.trainer.ema.state_dict()), described(recipe, self.trainer)
        model = Model.of(weights, about, options.precision, device)
        self.sampling = SampleGenerator(model, options, 0)
        self.labels = np.arange(BATCH[device.type]) % len(data.class_counts)
        if self.sampling.by_label:  # one network is asked at a time
            self.labels[:] = 0
        net = deepcopy(self.sampling.predictors[0].call)  # the probe has a layout of its own
        self.probed = Predictor(placed(net, device, "auto"), device, "auto")
        self.taps = min(LAYER, len(cast(nn.ModuleList, net.upblocks)))
        x = torch.randn((len(self.labels), *self.sampling.shape), device=device)
        process = self.sampling.process
        level = process.batch_of(process.grid(1)[0], len(x))
        self.seen = *process.inputs(x, level), torch.full((len(x),), -1, device=device)
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.own = torch.cuda.memory_allocated() - held

    @contextmanager
    def timed(self, what: str, share: int = 1) -> Iterator[None]:
        """Keep the seconds of a block, per share, and note the peak memory.

        The peak is the run's own: what it holds between its turns and what it takes within them.
        """
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        held, started = torch.cuda.memory_allocated(), time.perf_counter()
        yield
        if self.cuda:
            torch.cuda.synchronize()
        self.times[what].append((time.perf_counter() - started) / share)
        self.peak = max(self.peak, self.own + torch.cuda.max_memory_allocated() - held)
        self.own += torch.cuda.memory_allocated() - held

    def train(self, steps: int) -> None:
        """Time some steps, those before a graph apart, which is not kept beside other runs'."""
        for _ in range(WARM + 1 if self.cuda else 0):
            self.trainer.step()
        with self.timed("train", steps):
            for _ in range(steps):
                self.trainer.step()
        self.trainer.release()

    def sample(self) -> None:
        """Time one batch of images."""
        with self.timed("sample"):
            self.sampling.batch(self.labels, np.arange(len(self.labels)))

    def probe(self) -> None:
        """Time the probe's features of one batch of images, then whole forward passes."""
        with self.timed("probe"):
            self.probed.taps(self.taps, *self.seen)
        with self.timed("whole"), torch.no_grad():
            self.probed(*self.seen)

    def row(self, name: str) -> dict[str, Any]:
        """Return the figures; the first, warming turn does not count."""
        seconds = {what: statistics.median(times[1:]) for what, times in self.times.items()}
        update, batch = seconds["train"], self.trainer.batches.size
        sample = seconds["sample"] / len(self.labels)
        images = len(self.labels) * len(self.times["sample"])
        training = self.cost.train_flops / self.cost.train_images
        sampling = self.cost.flops * self.cost.sample_evaluations / self.cost.sample_images
        return {
            "run": name,
            "train_ms": 1e3 * update,
            "train_images_per_s": batch / update,
            **self.trainer.counted(),
            "sample_images_per_s": 1 / sample,
            "sample_evaluations": self.sampling.predictors[0].forward / images,
            "train_tflops": training * batch / update / 1e12,
            "sample_tflops": sampling / sample / 1e12,
            "probe_images_per_s": len(self.labels) / seconds["probe"],
            "probe_gain": seconds["whole"] / seconds["probe"],
            "gpu_peak_mb": self.peak / 1e6 if self.cuda else None,
        }


def noise_like(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return random pixels in the data set's shape, and its labels: speed asks for no more."""
    shape = (sum(data.class_counts), data.census.channels, data.census.side, data.census.side)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return images, np.repeat(np.arange(len(data.class_counts)), data.class_counts)


def run(experiment: Experiment, runs: list[str], rounds: int, steps: int) -> dict[str, Any]:
    """Measure runs on the experiment's first data set and with its first sample set, in turns.

    Ratios are to the first of `runs`. A turn of training makes `steps` steps. One round warms
    up and does not count; `rounds` follow.
    """
    device = pick()
    dataset, sample_set = experiment.grid["dataset"][0], experiment.grid["sample_set"][0]
    data = experiment.datasets[dataset]
    made = {name: Bench(data, experiment.runs[dataset, name], sample_set, device) for name in runs}
    turns: list[Callable[[], None]] = []
    for bench in made.values():
        turns += partial(bench.train, steps), bench.sample, bench.probe
    with Progress("bench", (rounds + 1) * len(turns), "turns") as progress:
        for _ in range(rounds + 1):
            for turn in turns:
                turn()
                progress.advance()
    rows = [bench.row(name) for name, bench in made.items()]
    for row in rows:
        row["train_ratio"] = row["train_ms"] / rows[0]["train_ms"]
        row["sample_ratio"] = rows[0]["sample_images_per_s"] / row["sample_images_per_s"]
    options = {name: experiment.runs[dataset, name].samples[sample_set] for name in runs}
    return {
        "dataset": dataset,
        "sample_set": sample_set,
        "sample": {name: changed(one) for name, one in options.items()},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "process_peak_mb": process_peak() / 1e6,
        "rounds": rounds,
        "steps_per_round": steps,
        "rows": rows,
    }


def process_peak() -> int:
    """Return the most memory that this process has held, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def to_text(result: dict[str, Any]) -> str:
    """Write the figures as a table for a terminal."""
    lines = [list(COLUMNS.values())]
    for row in result["rows"]:
        values = [row[c] for c in COLUMNS if c != "run"]
        lines.append([row["run"], *("-" if v is None else f"{v:.4g}" for v in values)])
    widths = [max(len(line[k]) for line in lines) for k in range(len(COLUMNS))]
    texts = ["  ".join(t.rjust(w) for t, w in zip(line, widths, strict=True)) for line in lines]
    where = f"{result['dataset']} on {result['device']}, {result['threads']} threads"
    return "\n".join([f"{where}, process peak {result['process_peak_mb']:.0f} MB", *texts])
