"""Script of the rules `features` and `reference_features`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.features")
