"""Script of the rule `test_split`."""

from ltdm.job import job
from ltdm.stages import test_split

with job(snakemake):
    test_split.run(
        snakemake.params.spec,
        snakemake.params.places,
        reference=snakemake.input.reference,
        test=snakemake.output.test,
        record=snakemake.output.record,
    )
