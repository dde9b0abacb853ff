"""Script of the rule `probe_tables`."""

from pathlib import Path

from ltdm.pipeline.job import job
from ltdm.stages import probe_tables

with job(snakemake):
    probe_tables.run(
        probes=snakemake.input.probes,
        folder=Path(snakemake.output.tidy).parent,
    )
