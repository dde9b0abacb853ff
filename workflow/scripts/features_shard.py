"""Script of the rule `features_shard`."""

from ltdm.job import job
from ltdm.stages import features

with job(snakemake):
    features.shard(
        snakemake.params.shard,
        images=snakemake.input.images,
        weights=snakemake.input.weights,
        output=snakemake.output.features,
    )
