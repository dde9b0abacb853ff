"""Script of the rule `prepare`."""

from ltdm.pipeline.job import job
from ltdm.stages import prepare

with job(snakemake) as files:
    prepare.run(snakemake.params.request, **files)
