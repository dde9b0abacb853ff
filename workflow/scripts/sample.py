"""Script of the rule `sample`."""

from ltdm.job import job
from ltdm.stages import sample

with job(snakemake):
    sample.run(
        snakemake.params.spec,
        int(snakemake.wildcards.seed),
        model=snakemake.input.model,
        samples=snakemake.output.samples,
        record=snakemake.output.record,
    )
