"""Script of the rules `features` and `reference_features`."""

from ltdm.job import job
from ltdm.stages import features

with job(snakemake):
    given = snakemake.input
    files = {"images": given.images, "weights": given.weights, **dict(snakemake.output.items())}
    if given.get("shards"):
        features.gather(given.shards, **files)
    else:
        features.run(**files)
