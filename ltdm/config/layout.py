"""Where results lie, below `results/<experiment>/`. The workflow and the CLI both read it here."""

from dataclasses import dataclass
from pathlib import Path

DATA = "data/{dataset}"
RUN = "runs/{dataset}/{run}/seed-{seed}"
SAMPLES = RUN + "/{sample_set}"
MODEL = "model.safetensors"
AVERAGE = "posthoc/{sigma_rel}.safetensors"
"""What sample sets are made from, in a run's folder: the network, or with another average."""
THEORY = "theory"


@dataclass(frozen=True)
class Layout:
    """The folders of one experiment's results."""

    root: Path

    @property
    def compiled(self) -> Path:
        """Return the folder of what the compiler keeps: no result, and may be deleted."""
        return self.root / ".compiled"

    def data(self, dataset: str) -> Path:
        """Return a data set's folder."""
        return self.root / DATA.format(dataset=dataset)

    def run(self, dataset: str, run: str, seed: int) -> Path:
        """Return a trained network's folder."""
        return self.root / RUN.format(dataset=dataset, run=run, seed=seed)

    def model(self, dataset: str, run: str, seed: int, sigma_rel: float | None = None) -> Path:
        """Return a network's file; or that with the average of a width."""
        name = MODEL if sigma_rel is None else AVERAGE.format(sigma_rel=sigma_rel)
        return self.run(dataset, run, seed) / name

    def sweep(self, name: str) -> Path:
        """Return the rows of a sweep of the theory lab."""
        return self.root / THEORY / f"{name}.csv"

    def samples(self, dataset: str, run: str, seed: int, sample_set: str) -> Path:
        """Return a sample set's folder."""
        return self.root / SAMPLES.format(
            dataset=dataset, run=run, seed=seed, sample_set=sample_set
        )
