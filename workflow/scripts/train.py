"""Script of the rule `train`."""

from ltdm.job import job
from ltdm.stages import train

with job(snakemake):
    train.run(
        snakemake.params.spec,
        int(snakemake.wildcards.seed),
        data=snakemake.input.data,
        model=snakemake.output.model,
        history=snakemake.output.history,
        record=snakemake.output.record,
        init=snakemake.input.get("init") or None,
    )
