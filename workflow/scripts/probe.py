"""Script of the rule `probe`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.probe")
