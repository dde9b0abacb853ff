"""Script of the rule `theory`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.theory")
