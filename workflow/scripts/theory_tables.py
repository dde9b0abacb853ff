"""Script of the rule `theory_tables`."""

from pathlib import Path

from ltdm.pipeline.job import job
from ltdm.stages import theory_tables

with job(snakemake):
    theory_tables.run(
        snakemake.params.specs,
        rows=dict(zip(snakemake.params.specs, snakemake.input.rows, strict=True)),
        folder=Path(snakemake.output.findings).parent,
    )
