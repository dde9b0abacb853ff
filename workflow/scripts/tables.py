"""Script of the rule `tables`."""

from pathlib import Path

from ltdm.pipeline.job import job
from ltdm.stages import tables

with job(snakemake):
    tables.run(
        snakemake.params.columns,
        snakemake.params.extractors,
        snakemake.params.baseline,
        metrics=snakemake.input.metrics,
        folder=Path(snakemake.output.tidy).parent,
    )
