"""Script of the rule `sample_sheet`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.sample_sheet")
