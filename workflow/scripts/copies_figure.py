"""Script of the rule `copies_figure`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.copies_figure")
