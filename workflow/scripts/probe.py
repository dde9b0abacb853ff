"""Script of the rule `probe`."""

from ltdm.pipeline.job import job
from ltdm.stages import probe

with job(snakemake):
    probe.run(
        snakemake.params.spec,
        snakemake.params.groups,
        {
            "dataset": snakemake.wildcards.dataset,
            "run": snakemake.wildcards.run,
            "seed": int(snakemake.wildcards.seed),
        },
        model=snakemake.input.model,
        train=snakemake.input.train,
        test=snakemake.input.test,
        counts=snakemake.input.counts,
        table=snakemake.output.table,
        record=snakemake.output.record,
    )
