"""Script of the rule `figures`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.figures")
