"""Script of the rule `prepare`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.prepare")
