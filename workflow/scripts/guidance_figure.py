"""Script of the rule `guidance_figure`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.guidance_figure")
