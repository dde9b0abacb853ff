"""Script of the rule `guidance_figure`."""

from ltdm.pipeline.job import job
from ltdm.stages import guidance_figure

with job(snakemake) as files:
    guidance_figure.run(snakemake.params.request, **files)
