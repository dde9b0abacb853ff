"""How long the jobs of an experiment take, and what memory, from what they compute.

Times are estimated from operations (`ltdm plan`) and doubled, since a job that Slurm ends early
costs more than one that asks for too much.
"""

from functools import cache
from pathlib import Path

from ltdm.config.experiment import Experiment
from ltdm.config.rules import Wildcards
from ltdm.config.runs import Run
from ltdm.config.site import Site
from ltdm.pipeline.cost import Cost, Speed, load_speeds, network_cost, sampling_evaluations

SAFETY_FACTOR = 2.0
DEFAULT_TFLOPS = {True: 10.0, False: 0.02}
"""10^12 operations a second that a GPU, or else a CPU core, is trusted with until one is known."""
STATE_BYTES_PER_WEIGHT = 48
"""Bytes a weight that training holds on the host: a state that is read, and one being written."""


class Estimates:
    """What jobs need beside what all of their rule do; `num_shards` many share a sample set."""

    def __init__(self, experiment: Experiment, site: Site, num_shards: int):
        self.experiment, self.site, self.num_shards = experiment, site, num_shards
        self.network = cache(self._network)

    def training_seconds(self, wildcards: Wildcards) -> float:
        """Return the seconds that a network is trained, on all its GPUs."""
        run, one, speed = self._of(wildcards)
        return SAFETY_FACTOR * one.train_flops / run.train.gpus / speed.train / 1e12

    def training_megabytes(self, wildcards: Wildcards) -> float:
        """Return the memory on the host that a network's state takes, MB."""
        run, one, _ = self._of(wildcards)
        posthoc = run.train.posthoc_ema
        each = STATE_BYTES_PER_WEIGHT + (
            posthoc.weight_bytes + 12 * len(posthoc.sigma_rel) if posthoc else 0
        )
        return each * one.parameters / 1e6

    def sampling_seconds(self, wildcards: Wildcards) -> float:
        """Return the seconds that a whole sample set takes."""
        run, *_ = self._of(wildcards)
        return self._forward_seconds(
            wildcards, sampling_evaluations(run.samples[wildcards["sample_set"]])
        )

    def shard_seconds(self, wildcards: Wildcards) -> float:
        """Return the seconds that a part of a sample set takes."""
        return self.sampling_seconds(wildcards) / self.num_shards

    def probe_seconds(self, wildcards: Wildcards) -> float:
        """Return the seconds that a network's features take for the linear probe."""
        probe = self.experiment.evaluate.probe
        if probe is None:
            return 0.0
        images = self.experiment.datasets[wildcards["dataset"]].probed(probe.train_on)
        return self._forward_seconds(wildcards, probe.evaluations(images))

    def _forward_seconds(self, wildcards: Wildcards, evaluations: float) -> float:
        _, one, speed = self._of(wildcards)
        return SAFETY_FACTOR * one.flops * evaluations / speed.sample / 1e12

    def _of(self, wildcards: Wildcards) -> tuple[Run, Cost, Speed]:
        return self.network(wildcards["dataset"], wildcards["run"])

    def _network(self, dataset: str, name: str) -> tuple[Run, Cost, Speed]:
        run, bench = self.experiment.runs[dataset, name], self.site.bench_file
        tflops = self.site.tflops or (None if bench else DEFAULT_TFLOPS[self.site.has_gpus])
        speed = load_speeds(self.experiment, Path(bench) if bench else None, tflops)[name]
        return run, network_cost(self.experiment.datasets[dataset], run, []), speed
