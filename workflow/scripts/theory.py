"""Script of the rule `theory`."""

from ltdm.pipeline.job import job
from ltdm.stages import theory

with job(snakemake):
    theory.run(
        snakemake.params.spec,
        rows=snakemake.output.rows,
        networks=snakemake.output.networks,
        record=snakemake.output.record,
    )
