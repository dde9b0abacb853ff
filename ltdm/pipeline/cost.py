"""The cost of an experiment before it runs: jobs, evaluations, images, disk, GPU-hours.

An evaluation is one forward pass of one image through the network. A backward pass counts as two
forward passes, and a multiply-add as two floating-point operations (FLOP).
"""

import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ltdm.config.artefacts import jobs
from ltdm.config.datasets import Dataset
from ltdm.config.experiment import Experiment
from ltdm.config.runs import Run
from ltdm.methods._objective import evaluations
from ltdm.networks._size import NetworkSize, measure_network
from ltdm.pipeline.storage import data_bytes, network_bytes, numbers_per_image
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json
from ltdm.samplers._base import SamplerModule
from ltdm.training.ensemble import total_steps

BENCH = "file of `ltdm bench runs --json`"


@dataclass(frozen=True)
class Speed:
    """The speed of training and of sampling, 10^12 FLOP/s."""

    train: float
    sample: float


@dataclass(frozen=True)
class Cost:
    """The cost of one network: its training and all its sample sets."""

    parameters: int
    flops: float  # per evaluation
    train_images: int  # batch size times steps
    train_evaluations: float  # forward passes
    train_flops: float  # forward and backward passes
    sample_images: int
    sample_evaluations: float
    disk: float  # bytes of the model, the images and their features

    def hours(self, speed: Speed) -> float:
        """Return GPU-hours at a speed."""
        sample_flops = self.flops * self.sample_evaluations
        return (self.train_flops / speed.train + sample_flops / speed.sample) / 1e12 / 3600


def network_cost(data: Dataset, run: Run, lengths: list[int]) -> Cost:
    """Return the cost of one network on a data set.

    `lengths` are how many 4-byte numbers each extractor, and each neighbour search, stores per
    generated image.
    """
    size = network_size(data, run)
    classes = len(data.class_counts)
    objective = run.objective(data.class_counts)
    parameters = size.parameters * (classes if objective.network_per_class else 1)
    class_blocks = objective.class_blocks
    steps = 0 if run.train.released else total_steps(run.train, data.class_counts, class_blocks)
    images = steps * run.train.effective_batch_size(classes if class_blocks else 0)
    calls = evaluations(run.methods, classes)
    return Cost(
        parameters=parameters,
        flops=size.flops,
        train_images=images,
        train_evaluations=calls.forward * images,
        train_flops=images * size.training_flops(**asdict(calls)),
        sample_images=sum(options.num_images for options in run.samples.values()),
        sample_evaluations=sum(sampling_evaluations(run, name) for name in run.samples),
        disk=network_bytes(data, run, lengths, parameters),
    )


def sampling_evaluations(run: Run, sample_set: str) -> float:
    """Return the evaluations of a sample set.

    Guidance doubles them, by a smaller network too, except at levels where its weight is 0.
    """
    options, process = run.samples[sample_set], run.process.module.build(run.process.options)
    sampler: SamplerModule = options.sampler.module
    *levels, _ = sampler.noise_levels(process, options.sampler.options)
    guided = sum(options.guidance_weight(process, level) != 0 for level in levels) / len(levels)
    per_image = sampler.evaluations(options.sampler.options)
    return options.num_images * per_image * (1 + guided)


def network_size(data: Dataset, run: Run) -> NetworkSize:
    """Return the size of a run's network, or of one of its networks; no weights are allocated."""
    return measure_network(run.meta_network(data), data.info.channels, data.info.resolution)


def job_counts(experiment: Experiment) -> Counter[str]:
    """Return the number of jobs of a whole run, by rule."""
    return Counter([*(rule for rule, _ in jobs(experiment.plan)), "manifest", "page"])


def load_speeds(
    experiment: Experiment, bench: Path | None, tflops: float | None
) -> dict[str, Speed]:
    """Return the speed of each run, by name; empty if both sources are None.

    The speed is `tflops` for all runs, or is read from `bench`, a file of `ltdm bench runs --json`.
    A run that the file lacks takes the speed of the file's first run.

    Raises:
        LtdmError: `tflops` or a speed in the file is not above 0, or the file has another form.
    """
    if tflops is not None:
        if not 0 < tflops < math.inf:
            raise LtdmError(f"--tflops must be a number above 0, not {tflops}")
        return {run: Speed(tflops, tflops) for _, run in experiment.runs}
    if bench is None:
        return {}
    speeds = {}
    try:
        for row in read_json(bench, BENCH, is_result=False)["rows"]:
            speeds[row["run"]] = Speed(float(row["train_tflops"]), float(row["sample_tflops"]))
        first = next(iter(speeds.values()))
        if not all(s.train > 0 and s.sample > 0 for s in speeds.values()):
            raise ValueError("a speed is not above zero")
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise LtdmError(f"{bench} is no {BENCH}; name another file, or write one") from error
    return {run: speeds.get(run, first) for _, run in experiment.runs}


def plan_table(experiment: Experiment, speeds: dict[str, Speed]) -> pd.DataFrame:
    """Return a row per data set and run, for one network, then the sum over all seeds."""
    rows, data_gb = [], 0.0
    for dataset, data in experiment.datasets.items():
        lengths = numbers_per_image(experiment, data)
        data_gb += data_bytes(data, lengths) / 1e9
        for name in [run for its_dataset, run in experiment.runs if its_dataset == dataset]:
            run = experiment.runs[dataset, name]
            rows.append(_row(dataset, name, network_cost(data, run, lengths), speeds.get(name)))
    columns, seeds = pd.MultiIndex.from_tuples(list(rows[0])), len(experiment.grid["seed"])
    frame = pd.DataFrame(rows, columns=columns)
    total = seeds * frame.iloc[:, 3:].sum(min_count=1)
    total["both", "GB"] += data_gb
    last = {("", "data set"): "all", ("", "run"): f"x {seeds} seeds", **total}
    return pd.DataFrame([*rows, last], columns=columns)


def _row(dataset: str, name: str, cost: Cost, speed: Speed | None) -> dict[tuple[str, str], Any]:
    return {
        ("", "data set"): dataset,
        ("", "run"): name,
        ("", "M weights"): cost.parameters / 1e6,
        ("training", "M images"): cost.train_images / 1e6,
        ("training", "M evaluations"): cost.train_evaluations / 1e6,
        ("training", "PFLOP"): cost.train_flops / 1e15,
        ("sampling", "k images"): cost.sample_images / 1e3,
        ("sampling", "M evaluations"): cost.sample_evaluations / 1e6,
        ("sampling", "PFLOP"): cost.flops * cost.sample_evaluations / 1e15,
        ("both", "GB"): cost.disk / 1e9,
        ("both", "GPU-hours"): cost.hours(speed) if speed else math.nan,
    }


def format_plan(experiment: Experiment, speeds: dict[str, Speed]) -> str:
    """Return the plan as text for a terminal; without speeds it has no GPU-hours."""
    frame = plan_table(experiment, speeds)
    if not speeds:
        frame = frame.iloc[:, :-1]
    counts = job_counts(experiment)
    lines = [
        "A row is one network; an evaluation is one image through it; PFLOP is 10^15 operations.",
        "",
        frame.to_string(index=False, na_rep="", float_format=_three_digits),
        "",
        f"{counts.total():,} jobs: {', '.join(f'{n:,} {rule}' for rule, n in counts.items())}.",
    ]
    if probe := experiment.evaluate.probe:
        images = sum(data.num_probe_images(probe.train_on) for data in experiment.datasets.values())
        networks = len(experiment.grid["run"]) * len(experiment.grid["seed"])
        total = _three_digits(networks * probe.evaluations(images) / 1e6)
        lines.append(
            f"In addition, linear probes: {total} M evaluations, none past the last probed layer."
        )
    if not speeds:
        lines.append(
            "For GPU-hours give --bench FILE (of `ltdm bench runs --json FILE`), or --tflops."
        )
    return "\n".join(lines)


def _three_digits(value: float) -> str:
    """Write a number with three digits and without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
