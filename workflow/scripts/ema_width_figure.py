"""Script of the rule `widths`."""

from ltdm.pipeline.job import job
from ltdm.stages import widths

with job(snakemake) as files:
    widths.run(snakemake.params.request, **files)
