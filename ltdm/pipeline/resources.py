"""Estimates of the time and memory of an experiment's jobs, from the operations that they compute.

Times are those of `ltdm plan`, doubled: a job that Slurm kills early costs more than one that
requests too much.
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
"""Assumed speed of a GPU (True) or a CPU core (False) without a measurement, 10^12 FLOP/s."""
STATE_BYTES_PER_WEIGHT = 48
"""Host memory of a training, bytes per weight: one state being read, another being written."""


class Estimates:
    """Estimates per job, by its wildcards; `num_shards` jobs share a sample set."""

    def __init__(self, experiment: Experiment, site: Site, num_shards: int):
        self.experiment, self.site, self.num_shards = experiment, site, num_shards
        self._cached = cache(self._estimate)

    def training_seconds(self, wildcards: Wildcards) -> float:
        """Return the seconds of training a network, on all its GPUs together."""
        run, cost, speed = self._network(wildcards)
        return SAFETY_FACTOR * cost.train_flops / run.train.gpus / speed.train / 1e12

    def training_megabytes(self, wildcards: Wildcards) -> float:
        """Return the host memory of a network's training state, MB."""
        run, cost, _ = self._network(wildcards)
        bytes_per_weight = STATE_BYTES_PER_WEIGHT
        if posthoc := run.train.posthoc_ema:
            bytes_per_weight += posthoc.weight_bytes + 12 * len(posthoc.sigma_rel)
        return bytes_per_weight * cost.parameters / 1e6

    def preparation_megabytes(self, wildcards: Wildcards) -> float:
        """Return the host memory of the images while a data set is prepared, MB."""
        return self.experiment.datasets[wildcards["dataset"]].preparation_bytes / 1e6

    def sampling_seconds(self, wildcards: Wildcards) -> float:
        """Return the seconds of a whole sample set in one job."""
        run, *_ = self._network(wildcards)
        evaluations = sampling_evaluations(run, wildcards["sample_set"])
        return self._forward_seconds(wildcards, evaluations)

    def shard_seconds(self, wildcards: Wildcards) -> float:
        """Return the seconds of one shard of a sample set."""
        return self.sampling_seconds(wildcards) / self.num_shards

    def probe_seconds(self, wildcards: Wildcards) -> float:
        """Return the seconds of a network's forward passes for the linear probe; 0 without one."""
        probe = self.experiment.evaluate.probe
        if probe is None:
            return 0.0
        images = self.experiment.datasets[wildcards["dataset"]].num_probe_images(probe.train_on)
        return self._forward_seconds(wildcards, probe.evaluations(images))

    def _forward_seconds(self, wildcards: Wildcards, evaluations: float) -> float:
        _, cost, speed = self._network(wildcards)
        return SAFETY_FACTOR * cost.flops * evaluations / speed.sample / 1e12

    def _network(self, wildcards: Wildcards) -> tuple[Run, Cost, Speed]:
        return self._cached(wildcards["dataset"], wildcards["run"])

    def _estimate(self, dataset: str, name: str) -> tuple[Run, Cost, Speed]:
        run, bench = self.experiment.runs[dataset, name], self.site.bench_file
        tflops = self.site.tflops or (None if bench else DEFAULT_TFLOPS[self.site.has_gpus])
        speed = load_speeds(self.experiment, Path(bench) if bench else None, tflops)[name]
        return run, network_cost(self.experiment.datasets[dataset], run, []), speed
