"""Script of the rule `sample_shard`."""

from ltdm.pipeline.job import job
from ltdm.stages import sample

with job(snakemake):
    sample.shard(
        snakemake.params.spec,
        int(snakemake.wildcards.seed),
        snakemake.params.shard,
        model=snakemake.input.model,
        output=snakemake.output.images,
        guide=snakemake.input.get("guide") or None,
    )
