"""Script of the rules `sample` and `sample_shard`."""

from ltdm.pipeline.job import run_stage

is_shard = "shard" in snakemake.params.request
run_stage(snakemake, "stages.sample", "run_shard" if is_shard else "run")
