"""Script of the rule `ema`."""

from ltdm.pipeline.job import job
from ltdm.stages import ema

with job(snakemake) as files:
    ema.run(snakemake.params.request, **files)
