"""Script of the rule `tuned_tables`."""

from ltdm.pipeline.job import job
from ltdm.stages import tuned_tables

with job(snakemake) as files:
    tuned_tables.run(snakemake.params.request, **files)
