"""What an experiment asks for, before anything runs: jobs, evaluations, images, disk, GPU-hours.

One evaluation is one image through the network once. A backward pass counts as two forward ones,
and a multiplication with its addition as two operations.
"""

import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from ltdm.config.artefacts import jobs
from ltdm.config.datasets import Dataset
from ltdm.config.experiment import Experiment
from ltdm.config.runs import Run
from ltdm.features import _inception
from ltdm.features._base import ExtractorModule
from ltdm.methods._objective import evaluations
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json
from ltdm.plumbing.registry import Part
from ltdm.samplers._base import SamplerModule
from ltdm.samplers._options import SampleOptions
from ltdm.training.ensemble import all_updates


@dataclass(frozen=True)
class Speed:
    """Operations a second that training and sampling reach, in units of 10^12."""

    train: float
    sample: float


@dataclass(frozen=True)
class Cost:
    """What one network asks for: training and all its sample sets."""

    parameters: int
    flops: float  # of one evaluation
    train_images: int  # counted as often as they are shown
    train_evaluations: float  # forward ones
    train_flops: float  # backward passes included
    sample_images: int
    sample_evaluations: int
    disk: float  # bytes of the model, the images and their features

    def hours(self, speed: Speed) -> float:
        """Return GPU-hours at a speed."""
        sampling = self.flops * self.sample_evaluations
        return (self.train_flops / speed.train + sampling / speed.sample) / 1e12 / 3600


def network_cost(data: Dataset, run: Run, lengths: list[int]) -> Cost:
    """Count what one network on a data set asks for.

    The `lengths` are the numbers of four bytes that each extractor, or search, gives for one image.
    """
    size = network_size(data, run)
    classes = len(data.class_counts)
    objective = run.objective(data.class_counts)
    parameters = size.parameters * (classes if objective.players else 1)
    by_class = objective.by_class
    updates = 0 if run.train.released else all_updates(run.train, data.class_counts, by_class)
    images = updates * run.train.images_an_update(classes if by_class else 0)
    each = evaluations(run.methods, classes)
    made = sum(s.num_images for s in run.samples.values())
    return Cost(
        parameters, size.flops, images, each.forward * images,
        images * ((each.forward + 2 * each.backward) * size.flops
                  + 3 * each.encoder * size.encoder_flops),
        made, sum(map(sampling_evaluations, run.samples.values())),
        _weight_bytes(run) * parameters + made * (data.census.image_bytes + 4 * sum(lengths)),
    )  # fmt: skip


def sampling_evaluations(one: SampleOptions) -> int:
    """Return the evaluations of a sample set; guidance asks twice, if a smaller network too."""
    sampler: SamplerModule = one.sampler.module
    each = sampler.evaluations(one.sampler.options)
    return one.num_images * each * (2 if one.guidance else 1)


class NetworkSize(NamedTuple):
    """A network's weights, and the operations of an evaluation and of its encoder alone."""

    parameters: int
    flops: float
    encoder_flops: float


def network_size(data: Dataset, run: Run) -> NetworkSize:
    """Return the size of a run's network, or of one of its networks, without making its weights."""
    net, census = run.outline(data), data.census
    with torch.device("meta"):
        x = torch.empty(1, census.channels, census.side, census.side)
        level, labels = torch.zeros(1), torch.zeros(1, dtype=torch.int64)
        counts = []
        for want in ("F", "z"):
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                net(x, level, labels, want=want)
            counts.append(counter.get_total_flops())
    return NetworkSize(sum(p.numel() for p in net.parameters()), *counts)


def job_counts(experiment: Experiment) -> Counter[str]:
    """Return the jobs of a whole run by rule."""
    return Counter([*(rule for rule, _ in jobs(experiment)), "manifest"])


def load_speeds(
    experiment: Experiment, bench: Path | None, tflops: float | None
) -> dict[str, Speed]:
    """Return the speed of each run, by name; empty where none is speeds.

    It is `tflops` for all of them, or comes from `bench`, figures of `ltdm bench --json`, where a
    run that is not among them takes their first run's.
    """
    if tflops is not None:
        if not 0 < tflops < math.inf:
            raise LtdmError(f"--tflops must be a number above 0, not {tflops}")
        return {run: Speed(tflops, tflops) for _, run in experiment.runs}
    if bench is None:
        return {}
    try:
        rows = {r["run"]: Speed(float(r["train_tflops"]), float(r["sample_tflops"]))
                for r in read_json(bench)["rows"]}  # fmt: skip
        first = next(iter(rows.values()))
        if not all(s.train > 0 and s.sample > 0 for s in rows.values()):
            raise ValueError("a speed is not above zero")
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise LtdmError(f"{bench} holds no figures of `ltdm bench --json`") from error
    return {run: rows.get(run, first) for _, run in experiment.runs}


def plan_table(experiment: Experiment, speeds: dict[str, Speed]) -> pd.DataFrame:
    """Return a row for one network of each run on each data set, then the sum over all seeds."""
    rows, held = [], 0.0
    # 13 bytes a neighbour: its distance, its number, whether it is mirrored
    found = [13 * metric.options.k // 4 for metric in experiment.evaluate.searching]
    for dataset, data in experiment.datasets.items():
        lengths = [floats_per_image(part, data) for part in experiment.evaluate.extractors]
        held += _data_bytes(data, [*lengths, *found]) / 1e9
        for name in [run for at, run in experiment.runs if at == dataset]:
            run = experiment.runs[dataset, name]
            if name not in experiment.grid["run"]:  # others start from it
                run = replace(run, samples={})
            rows.append(
                _row(dataset, name, network_cost(data, run, [*lengths, *found]), speeds.get(name))
            )
    columns, seeds = pd.MultiIndex.from_tuples(list(rows[0])), len(experiment.grid["seed"])
    frame = pd.DataFrame(rows, columns=columns)
    total = seeds * frame.iloc[:, 3:].sum(min_count=1)
    total["both", "GB"] += held
    last = {("", "data set"): "all", ("", "run"): f"x {seeds} seeds", **total}
    return pd.DataFrame([*rows, last], columns=columns)


def _row(dataset: str, name: str, one: Cost, speed: Speed | None) -> dict[tuple[str, str], Any]:
    return {
        ("", "data set"): dataset,
        ("", "run"): name,
        ("", "M weights"): one.parameters / 1e6,
        ("training", "M images"): one.train_images / 1e6,
        ("training", "M evaluations"): one.train_evaluations / 1e6,
        ("training", "PFLOP"): one.train_flops / 1e15,
        ("sampling", "k images"): one.sample_images / 1e3,
        ("sampling", "M evaluations"): one.sample_evaluations / 1e6,
        ("sampling", "PFLOP"): one.flops * one.sample_evaluations / 1e15,
        ("both", "GB"): one.disk / 1e9,
        ("both", "GPU-hours"): one.hours(speed) if speed else math.nan,
    }


def format_plan(experiment: Experiment, speeds: dict[str, Speed]) -> str:
    """Write the plan for a terminal."""
    frame = plan_table(experiment, speeds)
    if not speeds:
        frame = frame.iloc[:, :-1]
    written = frame.to_string(index=False, na_rep="", float_format=_three_digits)
    counted = job_counts(experiment)
    listed = ", ".join(f"{n:,} {rule}" for rule, n in counted.items())
    lines = [
        "A row is one network; an evaluation is one image through it; PFLOP is 10^15 operations.",
        "", written, "", f"{counted.total():,} jobs: {listed}.",
    ]  # fmt: skip
    if probe := experiment.evaluate.probe:
        each = sum(d.probed(probe.train_on) for d in experiment.datasets.values())
        number = len(experiment.grid["run"]) * len(experiment.grid["seed"])
        asked = _three_digits(number * probe.evaluations(each) / 1e6)
        lines.append(f"Beside that, probes: {asked} M evaluations, ended early.")
    if not speeds:
        lines.append(
            "For GPU-hours give --bench FILE (made by `ltdm bench --json FILE` there), or --tflops."
        )
    return "\n".join(lines)


def _three_digits(value: float) -> str:
    """Write three digits, and never an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def floats_per_image(extractor: Part, data: Dataset) -> int:
    """Return how many numbers an extractor gives of an image: its features and probabilities."""
    module: ExtractorModule = extractor.module
    census = data.census
    classes = {"": 0, "classes": len(census.sizes), "imagenet": _inception.CLASSES}
    features = module.length(extractor.options, census.channels, census.side)
    return features + classes[module.PROBABILITIES]


def _weight_bytes(run: Run) -> int:
    """Return the bytes that a weight takes in all files of a network."""
    asked = None if run.train.released else run.train.posthoc_ema
    return 8 + (asked.weight_bytes if asked else 0) + 4 * len(run.widths)


def _data_bytes(data: Dataset, lengths: list[int]) -> float:
    """Return the bytes of a prepared data set: reference, its features, training set."""
    held = sum(data.census.sizes)
    images = data.census.image_bytes * (held + sum(data.class_counts))
    return images + 4 * held * sum(lengths)
