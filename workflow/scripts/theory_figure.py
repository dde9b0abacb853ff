"""Script of the rule `theory_figure`."""

from ltdm.pipeline.job import job
from ltdm.stages import theory_figure

with job(snakemake):
    theory_figure.run(
        snakemake.wildcards.sweep,
        snakemake.params.spec,
        snakemake.wildcards.figure,
        rows=snakemake.input.rows,
        networks=snakemake.input.networks,
        pictures=list(snakemake.output),
    )
