"""Script of the rule `posthoc`."""

from ltdm.pipeline.job import job
from ltdm.stages import posthoc

with job(snakemake) as files:
    posthoc.run(snakemake.params.request, **files)
