"""Script of the rule `theory_tables`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.theory_tables")
