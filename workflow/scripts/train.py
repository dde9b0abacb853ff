"""Script of the rule `train`."""

from ltdm.pipeline.job import job
from ltdm.stages import train

with job(snakemake) as files:
    train.run(snakemake.params.request, **files)
