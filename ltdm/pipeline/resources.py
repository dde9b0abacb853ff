"""What each job of the workflow asks a cluster for: GPUs, cores, memory, time, and where to run.

Times of training and sampling are reckoned from their operations (`ltdm plan`) and doubled, since a
job that Slurm ends early costs more than one that asks for too much. Every further attempt asks for
more time and memory.
"""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ltdm.config.experiment import Experiment
from ltdm.config.runs import Run
from ltdm.config.site import Site
from ltdm.pipeline.cost import Cost, Speed, cost, sampling, speeds

SAFETY = 2.0
SLOW = {True: 10.0, False: 0.02}
"""10^12 operations a second that a GPU, or else a CPU core, is trusted with until one is told."""
STATE = 48
"""Bytes a weight that training holds on the host: a state that is read, and one being written."""


class Need(NamedTuple):
    """What the jobs of a rule need: a GPU, MB of memory, minutes beside what is reckoned."""

    gpu: bool = False
    memory: int = 4_000
    minutes: int = 20


NEEDS = {
    "prepare": Need(False, 8_000, 60),
    "extractor": Need(True, 8_000, 60),
    "reference_features": Need(True, 12_000, 60),
    "features": Need(True, 12_000, 60),
    "neighbours": Need(False, 12_000, 120),
    "unseen": Need(False, 12_000, 120),
    "metrics": Need(False, 12_000, 120),
    "train": Need(True, 8_000),
    "posthoc": Need(False, 8_000),
    "sample": Need(True, 8_000),
    "sample_shard": Need(True, 8_000),
    "gather": Need(False, 8_000),  # `sample` where it puts shards together
    "probe_split": Need(False, 8_000, 60),
    "probe": Need(True, 12_000),
    "theory": Need(False, 8_000, 60),
    "manifest": Need(False, 4_000, 240),
}


class Asks:
    """What the jobs of an experiment ask a site for.

    Args:
        experiment: The experiment.
        site: The site.
        sharing: Jobs that share a sample set.
    """

    def __init__(self, experiment: Experiment, site: Site, sharing: int):
        self.experiment, self.site, self.sharing = experiment, site, sharing
        self.cost = cache(self._cost)
        self.speed = cache(self._speed)

    def gpus(self, rule: str, wildcards: Mapping[str, str]) -> int:
        """Return the GPUs that a job asks for."""
        need = NEEDS.get(rule, Need())
        if not (need.gpu and self.site.has_gpus):
            return 0
        for part in self.experiment.evaluate.features:
            if part.label == wildcards.get("extractor") and not part.module.RUNS_NETWORK:
                return 0
        return self._run(wildcards).train.gpus if rule == "train" else 1

    def cores(self, rule: str, wildcards: Mapping[str, str], threads: int) -> int:
        """Return the cores that a job asks for: those of its threads, and those of its GPUs."""
        return max(threads, self.site.cpus_per_gpu * self.gpus(rule, wildcards))

    def word(self, rule: str, wildcards: Mapping[str, str], name: str) -> str | None:
        """Return what a job says to Slurm under a name of its plugin, if it says it."""
        return self.site.words(self.gpus(rule, wildcards) > 0).get(name)

    def memory(
        self, rule: str, wildcards: Mapping[str, str], attempt: int, reckon: bool = True
    ) -> int:
        """Return MB of memory; without reckoning, which takes a while, what all jobs need."""
        need = NEEDS.get(rule, Need()).memory
        if reckon and rule == "train":
            posthoc = self._run(wildcards).train.posthoc
            each = STATE + (posthoc.weight_bytes + 12 * len(posthoc.sigma_rel) if posthoc else 0)
            weights = self.cost(wildcards["dataset"], wildcards["run"]).parameters
            need += round(each * weights / 1e6)
        return need * attempt

    def minutes(
        self, rule: str, wildcards: Mapping[str, str], attempt: int, reckon: bool = True
    ) -> int:
        """Return minutes, at most what the site allows; without reckoning, what all jobs need."""
        seconds = self._reckoned(rule, wildcards) if reckon else 0.0
        minutes = attempt * (NEEDS.get(rule, Need()).minutes + math.ceil(SAFETY * seconds / 60))
        return min(minutes, self.site.max_minutes or minutes)

    def _reckoned(self, rule: str, wildcards: Mapping[str, str]) -> float:
        """Return the seconds of a job's operations; training, sampling and the probe have many."""
        if rule not in ("train", "sample", "sample_shard", "probe"):
            return 0.0
        run, one = self._run(wildcards), self.cost(wildcards["dataset"], wildcards["run"])
        speed = self.speed(wildcards["run"])
        if rule == "train":
            return one.train_operations / run.train.gpus / speed.train / 1e12
        if (probe := self.experiment.evaluate.probe) and rule == "probe":
            images = self.experiment.datasets[wildcards["dataset"]].probed(probe.train_on)
            return one.operations * probe.evaluations(images) / speed.sample / 1e12
        evaluations = sampling(run.samples[wildcards["sample_set"]])
        jobs = self.sharing if rule == "sample_shard" else 1
        return one.operations * evaluations / jobs / speed.sample / 1e12

    def _run(self, wildcards: Mapping[str, str]) -> Run:
        return self.experiment.runs[wildcards["dataset"], wildcards["run"]]

    def _cost(self, dataset: str, run: str) -> Cost:
        return cost(self.experiment.datasets[dataset], self.experiment.runs[dataset, run], [])

    def _speed(self, run: str) -> Speed:
        tflops = self.site.tflops or (None if self.site.bench else SLOW[self.site.has_gpus])
        bench = self.site.bench
        return speeds(self.experiment, Path(bench) if bench else None, tflops)[run]
