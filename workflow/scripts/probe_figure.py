"""Script of the rule `probe_figure`."""

from ltdm.pipeline.job import job
from ltdm.stages import probe_figure

with job(snakemake) as files:
    probe_figure.run(snakemake.params.request, **files)
