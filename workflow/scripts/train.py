"""Script of the rule `train`."""

from ltdm.pipeline.job import job
from ltdm.stages import ensemble, released, train

with job(snakemake):
    spec, seed = snakemake.params.spec, int(snakemake.wildcards.seed)
    files = {"data": snakemake.input.data, **dict(snakemake.output.items())}
    init = snakemake.input.get("init") or None
    if snakemake.params.checkpoint is not None:
        released.run(spec, seed, snakemake.params.checkpoint, **files)
    elif "ensemble" in spec["train"]:
        ensemble.run(spec, seed, **files, init=init)
    else:
        train.run(spec, seed, **files, init=init, gpus=snakemake.params.gpus)
