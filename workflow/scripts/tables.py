"""Script of the rule `tables`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.tables")
