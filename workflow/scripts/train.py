"""Script of the rule `train`."""

from ltdm.job import job
from ltdm.stages import released, train

with job(snakemake):
    which = snakemake.params.spec, int(snakemake.wildcards.seed)
    files = {"data": snakemake.input.data, **dict(snakemake.output.items())}
    if snakemake.params.checkpoint is not None:
        released.run(*which, snakemake.params.checkpoint, **files)
    else:
        train.run(*which, **files, init=snakemake.input.get("init") or None)
