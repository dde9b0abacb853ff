"""Script of the rule `probe`."""

from ltdm.pipeline.job import job
from ltdm.stages import probe

with job(snakemake) as files:
    probe.run(snakemake.params.request, **files)
