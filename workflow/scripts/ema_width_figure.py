"""Script of the rule `ema_width_figure`."""

from ltdm.pipeline.job import job
from ltdm.stages import ema_width_figure

with job(snakemake) as files:
    ema_width_figure.run(snakemake.params.request, **files)
