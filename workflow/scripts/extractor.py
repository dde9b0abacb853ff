"""Script of the rule `extractor`."""

from ltdm.pipeline.job import job
from ltdm.stages import extractor

with job(snakemake):
    extractor.run(
        snakemake.params.spec,
        snakemake.params.places,
        reference=snakemake.input.reference,
        weights=snakemake.output.weights,
        record=snakemake.output.record,
    )
