"""Script of the rule `theory_figure`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.theory_figure")
