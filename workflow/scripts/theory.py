"""Script of the rule `theory`."""

from ltdm.pipeline.job import job
from ltdm.stages import theory

with job(snakemake) as files:
    theory.run(snakemake.params.request, **files)
