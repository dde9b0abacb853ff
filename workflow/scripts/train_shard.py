"""Script of the rule `train_shard`."""

from pathlib import Path

from ltdm.job import job
from ltdm.stages import ensemble

with job(snakemake):
    where, given = snakemake.wildcards, snakemake.input
    output = Path(snakemake.output.state)
    ensemble.shard(
        snakemake.params.spec,
        int(where.seed),
        int(where.round),
        int(where.shard),
        data=given.data,
        output=output,
        model=output.parents[2] / "model.safetensors",
        start=(given.before, given.average) if given.get("before") else None,
        init=given.get("init") or None,
    )
