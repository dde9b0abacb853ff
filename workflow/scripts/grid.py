"""Script of the rule `grid`."""

from ltdm.pipeline.job import job
from ltdm.stages import grid

with job(snakemake):
    grid.run(samples=snakemake.input.samples, picture=snakemake.output.picture)
