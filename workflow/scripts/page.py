"""Script of the rule `page`."""

from ltdm.pipeline.job import run_stage

run_stage(snakemake, "page.document")
