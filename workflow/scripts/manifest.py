"""Script of the rule `manifest`."""

from ltdm.pipeline.job import job
from ltdm.stages import manifest

with job(snakemake) as files:
    manifest.run(snakemake.params.request, **files)
