"""Benchmark of runs: training and sampling speed, network evaluations, and memory.

All runs alternate within one process, so ratios hold while the machine's speed drifts. In a sample
set with autoguidance, the run's own network stands in for the guiding one.
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
from ltdm.core.device import pick_device
from ltdm.diffusion._model import Model
from ltdm.networks._predictor import Predictor, to_device
from ltdm.pipeline.cost import network_cost
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.progress import Progress
from ltdm.samplers._generate import MAX_BATCH, SampleGenerator
from ltdm.training.graph import WARMUP_CALLS
from ltdm.training.setup import Recipe, make_trainer, model_metadata

COLUMN_TITLES = {
    "run": "run",
    "train_ms": "train: ms/step",
    "train_images_per_s": "images/s",
    "train_ratio": "x first",
    "forward": "evals/image: forward",
    "backward": "backward",
    "encoder": "encoder",
    "decoder": "decoder",
    "sample_images_per_s": "sample: images/s",
    "sample_ratio": "x first",
    "sample_evaluations": "evals/image",
    "train_tflops": "train: TFLOP/s",
    "sample_tflops": "sample: TFLOP/s",
    "probe_images_per_s": "probe: images/s",
    "probe_gain": "x full forwards",
    "gpu_peak_mb": "GPU peak MB",
}
PROBE_BLOCK = 6
"""Decoder block at which the probe's forward pass ends, or the last one if there are fewer."""


class RunBenchmark:
    """One run, set up to time training, sampling and the probe's forward pass."""

    def __init__(self, data: Dataset, run: Run, sample_set: str, device: torch.device):
        images, labels = random_images_like(data)
        self.cuda, self.peak_bytes = device.type == "cuda", 0
        allocated = torch.cuda.memory_allocated()  # 0 if everything is on the CPU
        recipe, options = Recipe.from_spec(run.spec()), run.samples[sample_set]
        self.trainer = make_trainer(recipe, 0, images, labels, device)
        self.cost = network_cost(data, replace(run, samples={sample_set: options}), [])
        weights = dict(self.trainer.ema.state_dict())
        metadata = model_metadata(recipe, self.trainer)
        model = Model.from_tensors(weights, metadata, options.precision, device)
        self.generator = SampleGenerator(model, options, 0, class_counts=data.class_counts)
        self.labels = np.arange(MAX_BATCH[device.type]) % len(data.class_counts)
        if self.generator.network_per_class:  # a batch then runs the network of one class
            self.labels[:] = 0
        net = deepcopy(self.generator.predictors[0].net)  # the probe has its own memory format
        self.probe_predictor = Predictor(to_device(net, device, "auto"), device, "auto")
        self.probe_block = min(PROBE_BLOCK, len(cast(nn.ModuleList, net.upblocks)))
        x = torch.randn((len(self.labels), *self.generator.shape), device=device)
        process = self.generator.process
        level = process.level_tensor(process.sampler_levels(1)[0], len(x))
        unlabelled = torch.full((len(x),), -1, device=device)
        self.probe_inputs = *process.network_inputs(x, level), unlabelled
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.own_bytes = torch.cuda.memory_allocated() - allocated

    @contextmanager
    def record_time(self, name: str, divide_by: int = 1) -> Iterator[None]:
        """Record the seconds of a `with` block, divided by `divide_by`, and the peak memory.

        The peak counts this run only: what it keeps between its turns, and allocates within one.
        """
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        allocated, start = torch.cuda.memory_allocated(), time.perf_counter()
        yield
        if self.cuda:
            torch.cuda.synchronize()
        self.times[name].append((time.perf_counter() - start) / divide_by)
        peak = self.own_bytes + torch.cuda.max_memory_allocated() - allocated
        self.peak_bytes = max(self.peak_bytes, peak)
        self.own_bytes += torch.cuda.memory_allocated() - allocated

    def train(self, steps: int) -> None:
        """Time training steps after the untimed ones that capture the CUDA graph; then free it."""
        for _ in range(WARMUP_CALLS + 1 if self.cuda else 0):
            self.trainer.step()
        with self.record_time("train", steps):
            for _ in range(steps):
                self.trainer.step()
        self.trainer.release_graph()

    def sample(self) -> None:
        """Time one batch of images."""
        with self.record_time("sample"):
            self.generator.generate_batch(self.labels, np.arange(len(self.labels)))

    def probe(self) -> None:
        """Time the probe's features of one batch of images, then a complete forward pass."""
        with self.record_time("probe"):
            self.probe_predictor.decoder_features(self.probe_block, *self.probe_inputs)
        with self.record_time("forward"), torch.no_grad():
            self.probe_predictor(*self.probe_inputs)

    def row(self, name: str) -> dict[str, Any]:
        """Return the run's measurements: medians over rounds, without the first, warm-up round."""
        seconds = {key: statistics.median(times[1:]) for key, times in self.times.items()}
        step, batch_size = seconds["train"], self.trainer.batches.size
        sample = seconds["sample"] / len(self.labels)
        images = len(self.labels) * len(self.times["sample"])
        train_flops = self.cost.train_flops / self.cost.train_images
        sample_flops = self.cost.flops * self.cost.sample_evaluations / self.cost.sample_images
        return {
            "run": name,
            "train_ms": 1e3 * step,
            "train_images_per_s": batch_size / step,
            **self.trainer.calls_per_image(),
            "sample_images_per_s": 1 / sample,
            "sample_evaluations": self.generator.predictors[0].forward / images,
            "train_tflops": train_flops * batch_size / step / 1e12,
            "sample_tflops": sample_flops / sample / 1e12,
            "probe_images_per_s": len(self.labels) / seconds["probe"],
            "probe_gain": seconds["forward"] / seconds["probe"],
            "gpu_peak_mb": self.peak_bytes / 1e6 if self.cuda else None,
        }


def random_images_like(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return random uint8 images (n, C, H, W) of a data set's shape, and its labels (n,)."""
    shape = (sum(data.class_counts), data.info.channels, data.info.resolution, data.info.resolution)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return images, np.repeat(np.arange(len(data.class_counts)), data.class_counts)


def run(experiment: Experiment, runs: list[str], rounds: int, steps: int) -> dict[str, Any]:
    """Measure runs on the experiment's first data set with its first sample set, alternating.

    A round times `steps` training steps, one batch of samples and one batch of the probe for each
    run. One warm-up round precedes the `rounds` that count. Ratios are to the first of `runs`.
    """
    device = pick_device()
    dataset, sample_set = experiment.grid["dataset"][0], experiment.grid["sample_set"][0]
    data = experiment.datasets[dataset]
    benchmarks = {
        name: RunBenchmark(data, experiment.runs[dataset, name], sample_set, device)
        for name in runs
    }
    turns: list[Callable[[], None]] = []
    for bench in benchmarks.values():
        turns += partial(bench.train, steps), bench.sample, bench.probe
    with Progress("bench", (rounds + 1) * len(turns), "turns") as progress:
        for _ in range(rounds + 1):
            for turn in turns:
                turn()
                progress.advance()
    rows = [bench.row(name) for name, bench in benchmarks.items()]
    for row in rows:
        row["train_ratio"] = row["train_ms"] / rows[0]["train_ms"]
        row["sample_ratio"] = rows[0]["sample_images_per_s"] / row["sample_images_per_s"]
    options = {name: experiment.runs[dataset, name].samples[sample_set] for name in runs}
    return {
        "dataset": dataset,
        "sample_set": sample_set,
        "sample": {name: non_defaults(sample) for name, sample in options.items()},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "process_peak_mb": process_peak() / 1e6,
        "rounds": rounds,
        "steps_per_round": steps,
        "rows": rows,
    }


def process_peak() -> int:
    """Return the peak resident memory of this process, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def format_table(result: dict[str, Any]) -> str:
    """Return the measurements as a table for a terminal."""
    lines = [list(COLUMN_TITLES.values())]
    for row in result["rows"]:
        values = [row[c] for c in COLUMN_TITLES if c != "run"]
        lines.append([row["run"], *("-" if v is None else f"{v:.4g}" for v in values)])
    widths = [max(len(line[k]) for line in lines) for k in range(len(COLUMN_TITLES))]
    texts = ["  ".join(t.rjust(w) for t, w in zip(line, widths, strict=True)) for line in lines]
    title = f"{result['dataset']} on {result['device']}, {result['threads']} threads"
    return "\n".join([f"{title}, process peak {result['process_peak_mb']:.0f} MB", *texts])
