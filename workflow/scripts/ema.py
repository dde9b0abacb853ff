"""Script of the rule `ema`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.ema")
