"""Script of the rule `neighbours`."""

from ltdm.job import job
from ltdm.stages import neighbours

with job(snakemake):
    neighbours.run(
        snakemake.params.search,
        train=snakemake.input.train,
        samples=snakemake.input.samples,
        neighbours=snakemake.output.neighbours,
    )
