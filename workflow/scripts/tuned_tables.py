"""Script of the rule `tuned_tables`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.tuned_tables")
