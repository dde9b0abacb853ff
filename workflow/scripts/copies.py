"""Script of the rule `copies`."""

from ltdm.pipeline.job import job
from ltdm.stages import copies

with job(snakemake):
    copies.run(
        train=snakemake.input.train,
        samples=snakemake.input.samples,
        counts=snakemake.input.counts,
        neighbours=snakemake.input.neighbours,
        picture=snakemake.output.picture,
    )
