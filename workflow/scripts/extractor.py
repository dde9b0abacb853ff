"""Script of the rule `extractor`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.extractor")
