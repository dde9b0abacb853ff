"""The settings of one site, a cluster or a workstation: `site.yaml`, which git ignores."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltdm.config.merge import read_config
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.options import Nested, option, parse

SITE_FILE = Path("site.yaml")
PLUGIN_NAMES = {
    "account": "slurm_account",
    "partition": "slurm_partition",
    "qos": "qos",
    "constraint": "constraint",
    "extra": "slurm_extra",
}
"""Option of `SubmitOptions` -> its name in Snakemake's Slurm plugin."""


@dataclass(frozen=True)
class SubmitOptions:
    """Options with which Slurm jobs are submitted; those left out are not passed to sbatch."""

    account: str | None = option(None, "Account to charge (sbatch -A).")
    partition: str | None = option(None, "Partition (sbatch -p); several separated by commas.")
    qos: str | None = option(None, "Quality of service (sbatch --qos).")
    constraint: str | None = option(None, "Features that a node must have (sbatch -C).")
    extra: str | None = option(None, "Further options of sbatch, as on its command line.")


@dataclass(frozen=True)
class Site(SubmitOptions):
    """Settings of a site; `gpu` and `cpu` override the submit options for such jobs."""

    gpu: SubmitOptions = option(
        SubmitOptions(),
        "Submit options of jobs that use a GPU; they override those above.",
        parser=Nested(SubmitOptions),
    )
    cpu: SubmitOptions = option(
        SubmitOptions(),
        "Submit options of all other jobs; they override those above.",
        parser=Nested(SubmitOptions),
    )
    has_gpus: bool = option(True, "Whether jobs that run a network request GPUs.")
    jobs_per_gpu: int = option(
        1,
        "Jobs that share one GPU, since a small network does not fill it; not on Slurm.",
        low=1,
    )
    cpus_per_gpu: int = option(4, "CPU cores per GPU of a job.", low=1)
    max_runtime_minutes: int | None = option(
        None,
        "Longest time limit of a job in minutes; training that takes longer is resumed by the next"
        " job. By default there is no such limit.",
        low=2,
    )
    tflops: float | None = option(
        None,
        "Speed of a GPU in training, in 10^12 floating-point operations per second, from which"
        " time limits are estimated. By default 10, or 0.02 without GPUs.",
        above=0,
    )
    bench_file: str | None = option(
        None, "File that `ltdm bench runs --json` wrote on these GPUs, instead of `tflops`."
    )

    def check_slurm(self) -> None:
        """Refuse several jobs per GPU, since Slurm gives each job GPUs of its own."""
        if self.jobs_per_gpu > 1:
            raise LtdmError(
                f"{SITE_FILE}: jobs_per_gpu is {self.jobs_per_gpu}, but on Slurm every job has GPUs"
                " of its own; leave it out, or run `snakemake --profile workstation` within one job"
                " that requests whole nodes"
            )

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "Site":
        """Return the site of a mapping read from YAML; an OptionError names what is wrong."""
        return parse(cls, values)

    def submit_options(self, gpu: bool) -> dict[str, str]:
        """Return the submit options that are set for jobs with or without a GPU, by plugin name."""
        own = self.gpu if gpu else self.cpu
        values = {
            plugin_name: getattr(own, name) or getattr(self, name)
            for name, plugin_name in PLUGIN_NAMES.items()
        }
        return {name: value for name, value in values.items() if value is not None}


def load_site(file: Path = SITE_FILE) -> Site:
    """Read the site's file; without one, all settings are at their defaults.

    Raises:
        LtdmError: The file cannot be read, or a setting in it cannot be used.
    """
    try:
        return Site.parse(read_config([file])) if file.exists() else Site()
    except OptionError as error:
        raise LtdmError(f"{file}: {error}") from error
