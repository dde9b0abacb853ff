"""Script of the rule `posthoc`."""

from ltdm.pipeline.job import job
from ltdm.stages import posthoc

with job(snakemake):
    posthoc.run(
        snakemake.params.sigma_rel,
        model=snakemake.input.model,
        output=snakemake.output.output,
        record=snakemake.output.record,
    )
