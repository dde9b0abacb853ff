"""Script of the rule `probe_figure`."""

from ltdm.pipeline.job import job
from ltdm.stages import probe_figure

with job(snakemake):
    probe_figure.run(
        snakemake.wildcards.dataset,
        tidy=snakemake.input.tidy,
        pictures=list(snakemake.output),
    )
