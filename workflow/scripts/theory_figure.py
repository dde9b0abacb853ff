"""Script of the rule `theory_figure`."""

from ltdm.pipeline.job import job
from ltdm.stages import theory_figure

with job(snakemake) as files:
    theory_figure.run(snakemake.params.request, **files)
