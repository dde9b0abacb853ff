"""Script of the rule `manifest`."""

from ltdm.pipeline.job import job
from ltdm.stages import manifest

with job(snakemake):
    manifest.run(snakemake.params.lineage, manifest=snakemake.output.manifest)
