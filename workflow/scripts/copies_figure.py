"""Script of the rule `copies_figure`."""

from ltdm.pipeline.job import job
from ltdm.stages import copies_figure

with job(snakemake) as files:
    copies_figure.run(snakemake.params.request, **files)
