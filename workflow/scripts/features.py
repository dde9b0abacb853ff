"""Script of the rules `features` and `reference_features`."""

from ltdm.pipeline.job import job
from ltdm.stages import features

with job(snakemake) as files:
    features.run(snakemake.params.request, **files)
