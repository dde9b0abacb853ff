"""Where results lie, below `results/<experiment>/`. The workflow and the CLI both read it here."""

from dataclasses import dataclass
from pathlib import Path

DATA = "data/{dataset}"
RUN = "runs/{dataset}/{run}/seed-{seed}"
SAMPLES = RUN + "/{sample_set}"


@dataclass(frozen=True)
class Layout:
    """The folders of one experiment's results."""

    root: Path

    def data(self, dataset: str) -> Path:
        """Return a data set's folder."""
        return self.root / DATA.format(dataset=dataset)

    def run(self, dataset: str, run: str, seed: int) -> Path:
        """Return a trained network's folder."""
        return self.root / RUN.format(dataset=dataset, run=run, seed=seed)

    def samples(self, dataset: str, run: str, seed: int, sample_set: str) -> Path:
        """Return a sample set's folder."""
        return self.root / SAMPLES.format(
            dataset=dataset, run=run, seed=seed, sample_set=sample_set
        )
