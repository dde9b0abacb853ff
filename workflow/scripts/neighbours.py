"""Script of the rules `neighbours` and `unseen`."""

from ltdm.pipeline.job import job
from ltdm.stages import neighbours

with job(snakemake):
    neighbours.run(
        snakemake.params.search,
        train=snakemake.input.train,
        images=snakemake.input.images,
        neighbours=snakemake.output.neighbours,
        unseen=snakemake.params.unseen,
    )
