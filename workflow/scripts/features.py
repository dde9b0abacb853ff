"""Script of the rules `features` and `reference_features`."""

from ltdm.job import job
from ltdm.stages import features

with job(snakemake):
    features.run(
        images=snakemake.input.images,
        weights=snakemake.input.weights,
        features=snakemake.output.features,
    )
