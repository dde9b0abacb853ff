"""Script of the rule `widths`."""

from ltdm.pipeline.job import job
from ltdm.stages import widths

with job(snakemake):
    widths.run(
        snakemake.wildcards.dataset,
        snakemake.params.metric,
        snakemake.params.extractor,
        tidy=snakemake.input.tidy,
        pictures=snakemake.output,
    )
