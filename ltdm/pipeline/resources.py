"""How long the jobs of an experiment take, and what memory, from what they compute.

Times are estimated from operations (`ltdm plan`) and doubled, since a job that Slurm ends early
costs more than one that asks for too much.
"""

from functools import cache
from pathlib import Path

from ltdm.config.experiment import Experiment
from ltdm.config.runs import Run
from ltdm.config.site import Site
from ltdm.config.steps import Keys
from ltdm.pipeline.cost import Cost, Speed, cost, sampling, speeds

SAFETY = 2.0
SLOW = {True: 10.0, False: 0.02}
"""10^12 operations a second that a GPU, or else a CPU core, is trusted with until one is known."""
STATE = 48
"""Bytes a weight that training holds on the host: a state that is read, and one being written."""


class Estimates:
    """What jobs need beside what all of their rule do; `sharing` many share a sample set."""

    def __init__(self, experiment: Experiment, site: Site, sharing: int):
        self.experiment, self.site, self.sharing = experiment, site, sharing
        self.cost = cache(self._cost)
        self.speed = cache(self._speed)

    def training_seconds(self, keys: Keys) -> float:
        """Return the seconds that a network is trained, on all its GPUs."""
        one, speed = self.cost(keys["dataset"], keys["run"]), self.speed(keys["run"])
        gpus = self._run(keys).train.gpus
        return SAFETY * one.train_operations / gpus / speed.train / 1e12

    def training_megabytes(self, keys: Keys) -> float:
        """Return the memory on the host that a network's state takes, MB."""
        posthoc = self._run(keys).train.posthoc
        each = STATE + (posthoc.weight_bytes + 12 * len(posthoc.sigma_rel) if posthoc else 0)
        return each * self.cost(keys["dataset"], keys["run"]).parameters / 1e6

    def sampling_seconds(self, keys: Keys) -> float:
        """Return the seconds that a whole sample set takes."""
        evaluations = sampling(self._run(keys).samples[keys["sample_set"]])
        return self._forward_seconds(keys, evaluations)

    def shard_seconds(self, keys: Keys) -> float:
        """Return the seconds that a part of a sample set takes."""
        return self.sampling_seconds(keys) / self.sharing

    def probe_seconds(self, keys: Keys) -> float:
        """Return the seconds that a network's features take for the linear probe."""
        probe = self.experiment.evaluate.probe
        if probe is None:
            return 0.0
        images = self.experiment.datasets[keys["dataset"]].probed(probe.train_on)
        return self._forward_seconds(keys, probe.evaluations(images))

    def _forward_seconds(self, keys: Keys, evaluations: float) -> float:
        one, speed = self.cost(keys["dataset"], keys["run"]), self.speed(keys["run"])
        return SAFETY * one.operations * evaluations / speed.sample / 1e12

    def _run(self, keys: Keys) -> Run:
        return self.experiment.runs[keys["dataset"], keys["run"]]

    def _cost(self, dataset: str, run: str) -> Cost:
        return cost(self.experiment.datasets[dataset], self.experiment.runs[dataset, run], [])

    def _speed(self, run: str) -> Speed:
        bench = self.site.bench
        tflops = self.site.tflops or (None if bench else SLOW[self.site.has_gpus])
        return speeds(self.experiment, Path(bench) if bench else None, tflops)[run]
