"""Script of the rule `tables`."""

from ltdm.job import job
from ltdm.stages import tables

with job(snakemake):
    tables.run(
        snakemake.params.columns,
        snakemake.params.extractor,
        metrics=snakemake.input.metrics,
        tidy=snakemake.output.tidy,
        csv=snakemake.output.csv,
        markdown=snakemake.output.markdown,
        latex=snakemake.output.latex,
        record=snakemake.output.record,
    )
