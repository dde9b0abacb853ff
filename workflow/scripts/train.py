"""Script of the rule `train`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.train")
