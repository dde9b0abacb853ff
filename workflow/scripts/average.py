"""Script of the rule `average`."""

from ltdm.job import job
from ltdm.stages import ensemble

with job(snakemake):
    ensemble.average_round(
        snakemake.params.spec,
        int(snakemake.wildcards.seed),
        data=snakemake.input.data,
        shards=snakemake.input.shards,
        output=snakemake.output.average,
        init=snakemake.input.get("init") or None,
    )
