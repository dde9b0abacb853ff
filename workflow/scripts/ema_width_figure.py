"""Script of the rule `ema_width_figure`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "stages.ema_width_figure")
