"""Script of the rules `sample` and `sample_shard`."""

from ltdm.pipeline.job import job
from ltdm.stages import sample

with job(snakemake) as files:
    run = sample.run_shard if "shard" in snakemake.params.request else sample.run
    run(snakemake.params.request, **files)
