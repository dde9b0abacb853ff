"""Script of the rule `metrics`."""

from ltdm.pipeline.job import job
from ltdm.stages import metrics

with job(snakemake):
    metrics.run(
        snakemake.params.spec,
        snakemake.params.groups,
        {
            "dataset": snakemake.wildcards.dataset,
            "run": snakemake.wildcards.run,
            "seed": int(snakemake.wildcards.seed),
            "sample_set": snakemake.wildcards.sample_set,
        },
        counts=snakemake.input.counts,
        real=dict(zip(snakemake.params.extractors, snakemake.input.real, strict=True)),
        fake=dict(zip(snakemake.params.extractors, snakemake.input.fake, strict=True)),
        table=snakemake.output.table,
        record=snakemake.output.record,
    )
