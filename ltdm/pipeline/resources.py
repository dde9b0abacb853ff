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
        self.known = cache(self._known)

    def training_seconds(self, keys: Keys) -> float:
        """Return the seconds that a network is trained, on all its GPUs."""
        run, one, speed = self._of(keys)
        return SAFETY * one.train_operations / run.train.gpus / speed.train / 1e12

    def training_megabytes(self, keys: Keys) -> float:
        """Return the memory on the host that a network's state takes, MB."""
        run, one, _ = self._of(keys)
        posthoc = run.train.posthoc_ema
        each = STATE + (posthoc.weight_bytes + 12 * len(posthoc.sigma_rel) if posthoc else 0)
        return each * one.parameters / 1e6

    def sampling_seconds(self, keys: Keys) -> float:
        """Return the seconds that a whole sample set takes."""
        run, *_ = self._of(keys)
        return self._forward_seconds(keys, sampling(run.samples[keys["sample_set"]]))

    def shard_seconds(self, keys: Keys) -> float:
        """Return the seconds that a part of a sample set takes."""
        return self.sampling_seconds(keys) / self.sharing

    def probe_seconds(self, keys: Keys) -> float:
        """Return the seconds that a network's features take for the linear probe."""
        probe = self.experiment.evaluate.probe
        if probe is None:
            return 0.0
        images = self.experiment.datasets[keys["dataset"]].num_probe_images(probe.train_on)
        return self._forward_seconds(keys, probe.evaluations(images))

    def _forward_seconds(self, keys: Keys, evaluations: float) -> float:
        _, one, speed = self._of(keys)
        return SAFETY * one.operations * evaluations / speed.sample / 1e12

    def _of(self, keys: Keys) -> tuple[Run, Cost, Speed]:
        return self.known(keys["dataset"], keys["run"])

    def _known(self, dataset: str, name: str) -> tuple[Run, Cost, Speed]:
        run, bench = self.experiment.runs[dataset, name], self.site.bench_file
        tflops = self.site.tflops or (None if bench else SLOW[self.site.has_gpus])
        speed = speeds(self.experiment, Path(bench) if bench else None, tflops)[name]
        return run, cost(self.experiment.datasets[dataset], run, []), speed
