"""Script of the rule `tables`."""

from ltdm.pipeline.job import job
from ltdm.stages import tables

with job(snakemake) as files:
    tables.run(snakemake.params.request, **files)
