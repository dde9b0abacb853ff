"""Script of the rule `page`."""

from pathlib import Path

from ltdm.page.document import write_page
from ltdm.pipeline.job import job

with job(snakemake) as files:
    write_page(Path(files["manifest"]).parent, files["page"])
