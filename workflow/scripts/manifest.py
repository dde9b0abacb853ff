"""Script of the rule `manifest`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.manifest")
