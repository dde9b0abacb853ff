"""Script of the rules `neighbours` and `unseen_neighbours`."""

from ltdm.pipeline.job import job
from ltdm.stages import neighbours

with job(snakemake) as files:
    neighbours.run(snakemake.params.request, **files)
