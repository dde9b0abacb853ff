"""Script of the rule `probe_split`."""

from ltdm.pipeline.job import job
from ltdm.stages import probe_split

with job(snakemake):
    probe_split.run(
        snakemake.params.spec,
        snakemake.params.places,
        reference=snakemake.input.reference,
        test=snakemake.output.test,
        record=snakemake.output.record,
    )
