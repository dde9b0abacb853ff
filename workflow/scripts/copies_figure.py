"""Script of the rule `copies`."""

from ltdm.pipeline.job import job
from ltdm.stages import copies

with job(snakemake) as files:
    copies.run(snakemake.params.request, **files)
