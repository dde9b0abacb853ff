"""The words of one cluster: accounts, partitions, limits. They stand in `site.yaml`, not in git."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltdm.config.merge import read_config
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.options import Nested, option, parse

SITE_FILE = Path("site.yaml")
PLUGIN_NAMES = {
    "account": "slurm_account", "partition": "slurm_partition", "qos": "qos",
    "constraint": "constraint", "extra": "slurm_extra",
}  # fmt: skip
"""What Snakemake's Slurm plugin calls them."""


@dataclass(frozen=True)
class SubmitOptions:
    """What jobs are submitted with; what is left out is not said."""

    account: str | None = option(None, "Account that is charged (sbatch -A).")
    partition: str | None = option(None, "Partition (-p); several with commas between.")
    qos: str | None = option(None, "Quality of service (--qos).")
    constraint: str | None = option(None, "Features that a node must have (-C).")
    extra: str | None = option(None, "Other options of sbatch, as one would write them there.")


@dataclass(frozen=True)
class Site(SubmitOptions):
    """All that a cluster's users set once; `gpu` and `cpu` say what differs for those jobs."""

    gpu: SubmitOptions = option(
        SubmitOptions(), "For jobs that ask for a GPU.", parser=Nested(SubmitOptions)
    )
    cpu: SubmitOptions = option(
        SubmitOptions(), "For the other jobs.", parser=Nested(SubmitOptions)
    )
    has_gpus: bool = option(True, "Whether jobs of networks ask for GPUs.")
    jobs_per_gpu: int = option(
        1, "Jobs of networks that share a GPU, since small networks do not fill one.", low=1
    )
    cpus_per_gpu: int = option(4, "Cores for each GPU that a job asks for.", low=1)
    max_runtime_minutes: int | None = option(
        None, "No job asks for longer; training goes on in the next one.", low=2
    )
    tflops: float | None = option(
        None, "Operations a second that a GPU reaches in training, in 10^12, to reckon times with.",
        above=0,
    )  # fmt: skip
    bench_file: str | None = option(
        None, "File that `ltdm bench --json` wrote on these GPUs, instead of `tflops`."
    )

    def check_slurm(self) -> None:
        """Refuse trainings that are to share a GPU, since Slurm gives out whole ones."""
        if self.jobs_per_gpu > 1:
            raise LtdmError(
                f"{SITE_FILE}: jobs_per_gpu is {self.jobs_per_gpu}, but on Slurm every job has GPUs"
                " of its own: leave it out, or run `snakemake --profile workstation` within one job"
                " that asks for whole nodes"
            )

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "Site":
        """Make a site from what a file says of it."""
        return parse(cls, values)

    def submit_options(self, gpu: bool) -> dict[str, str]:
        """Return what a job is submitted with, by the plugin's names."""
        own = self.gpu if gpu else self.cpu
        said = {
            theirs: getattr(own, mine) or getattr(self, mine)
            for mine, theirs in PLUGIN_NAMES.items()
        }
        return {name: word for name, word in said.items() if word is not None}


def load_site(file: Path = SITE_FILE) -> Site:
    """Read the site's file; without one, Slurm's own defaults hold."""
    try:
        return Site.parse(read_config([file])) if file.exists() else Site()
    except OptionError as error:
        raise LtdmError(f"{file}: {error}") from error
