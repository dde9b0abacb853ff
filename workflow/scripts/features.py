"""Script of the rules `features` and `reference_features`."""

from ltdm.pipeline.job import job
from ltdm.stages import features

with job(snakemake):
    given = snakemake.input
    features.run(images=given.images, weights=given.weights, features=snakemake.output.features)
