"""Script of the rule `grid`."""

from ltdm.pipeline.job import job
from ltdm.stages import grid

with job(snakemake) as files:
    grid.run(snakemake.params.request, **files)
