"""Script of the rule `theory_tables`."""

from ltdm.pipeline.job import job
from ltdm.stages import theory_tables

with job(snakemake) as files:
    theory_tables.run(snakemake.params.request, **files)
