"""Script of the rule `metrics`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.metrics")
