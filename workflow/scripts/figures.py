"""Script of the rule `figures`."""

from itertools import product

from ltdm.pipeline.job import job
from ltdm.stages import figures

with job(snakemake):
    runs, seeds = snakemake.params.runs, snakemake.params.seeds
    figures.run(
        snakemake.wildcards.dataset,
        snakemake.params.metric,
        snakemake.params.extractor,
        snakemake.params.sample_set,
        counts=snakemake.input.counts,
        tidy=snakemake.input.tidy,
        reference=snakemake.input.reference,
        histories=dict(zip(product(runs, seeds), snakemake.input.histories, strict=True)),
        samples=dict(zip(runs, snakemake.input.samples, strict=True)),
        pictures=dict(snakemake.output.items()),
    )
