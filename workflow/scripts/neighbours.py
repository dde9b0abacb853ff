"""Script of the rules `neighbours` and `unseen_neighbours`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.neighbours")
