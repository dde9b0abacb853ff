"""Script of the rule `probe_tables`."""

from ltdm.pipeline.job import job
from ltdm.stages import probe_tables

with job(snakemake) as files:
    probe_tables.run(snakemake.params.request, **files)
