"""Script of the rule `probe_split`."""

from ltdm.pipeline.job import job
from ltdm.stages import probe_split

with job(snakemake) as files:
    probe_split.run(snakemake.params.request, **files)
