"""Script of the rule `sample`."""

from ltdm.pipeline.job import job
from ltdm.stages import sample

with job(snakemake):
    spec, seed = snakemake.params.spec, int(snakemake.wildcards.seed)
    files = {"model": snakemake.input.model, **dict(snakemake.output.items())}
    files["guide"] = snakemake.input.get("guide") or None
    if snakemake.input.get("shards"):
        sample.gather(spec, seed, **files, shards=snakemake.input.shards)
    else:
        sample.run(spec, seed, **files)
