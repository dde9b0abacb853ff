"""Script of the rule `probe_figure`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.probe_figure")
