"""Script of the rule `metrics`."""

from ltdm.pipeline.job import job
from ltdm.stages import metrics

with job(snakemake) as files:
    metrics.run(snakemake.params.request, **files)
