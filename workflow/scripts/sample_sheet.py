"""Script of the rule `sample_sheet`."""

from ltdm.pipeline.job import job
from ltdm.stages import sample_sheet

with job(snakemake) as files:
    sample_sheet.run(snakemake.params.request, **files)
