"""Script of the rule `prepare`."""

from ltdm.pipeline.job import job
from ltdm.stages import prepare

with job(snakemake):
    prepare.run(
        snakemake.params.spec,
        snakemake.params.places,
        train=snakemake.output.train,
        reference=snakemake.output.reference,
        table=snakemake.output.counts,
        record=snakemake.output.record,
    )
