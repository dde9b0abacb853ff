"""Script of the rule `extractor`."""

from ltdm.pipeline.job import job
from ltdm.stages import extractor

with job(snakemake) as files:
    extractor.run(snakemake.params.request, **files)
