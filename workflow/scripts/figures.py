"""Script of the rule `figures`."""

from ltdm.pipeline.job import job
from ltdm.stages import figures

with job(snakemake) as files:
    figures.run(snakemake.params.request, **files)
