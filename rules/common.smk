"""The checked config, what lies where, and what a run of the workflow makes."""

import re
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile

sys.path.insert(0, workflow.basedir)  # the code beside the Snakefile is what runs

from ltdm import asked, layout
from ltdm.plumbing.compiling import keep_compiled
from ltdm.config.experiment import Experiment
from ltdm.plumbing.errors import LtdmError
from ltdm.pipeline.records import claims, finished, refuse_foreign
from ltdm.pipeline.job import let_jobs_import
from ltdm.pipeline.lineage import lineage
from ltdm.config.merge import merge, read, typed
from ltdm.plumbing.options import changed, near, places
from ltdm.plumbing.registry import stage_code
from ltdm.theory.options import FIGURES

let_jobs_import(workflow.basedir)

# Snakemake lays files over each other key by key; ltdm also knows when a part is replaced.
# A job takes what the run that it belongs to was asked for: the files may have changed since.
try:
    began = None if workflow.is_main_process else asked.frozen()
    if began:
        whole = began["config"]
    else:
        overlay = typed(workflow.config_settings.config)
        whole = merge([read(workflow.configfiles), overlay])
    experiment = Experiment(whole)
except LtdmError as error:
    raise WorkflowError(f"config: {error}") from None

grid = experiment.grid
networks = {axis: grid[axis] for axis in ("dataset", "run", "seed")}
root = str(experiment.layout.root)
behind = lineage(experiment)
keep_compiled(experiment.layout.compiled)
extractors = [part.label for part in experiment.evaluate.features]
metrics = {part.label: part for part in experiment.evaluate.metrics}
searching = [part.label for part in experiment.evaluate.searching]


pathvars:
    results=root,
    logs=f"{root}/logs",
    benchmarks=f"{root}/benchmarks",
    data=f"{root}/{layout.DATA}",
    run=f"{root}/{layout.RUN}",
    samples=f"{root}/{layout.SAMPLES}",


# Jobs that share a sample set: `--set-scatter samples=8`.
scattergather:
    samples=1,


for name in workflow.resource_settings.overwrite_scatter:
    if name != "samples":
        hint = near(name, ["samples"])
        raise WorkflowError(f"--set-scatter: there is no {name!r}; {hint}")


wildcard_constraints:
    dataset="|".join(map(re.escape, grid["dataset"])),
    run="|".join(re.escape(run) for run in {run: 0 for _, run in experiment.runs}),
    sample_set="|".join(map(re.escape, grid["sample_set"])),
    extractor="|".join(map(re.escape, extractors)),
    metric="|".join(map(re.escape, metrics)),
    sweep="|".join(map(re.escape, experiment.sweeps)),
    figure="|".join(FIGURES),
    seed=r"\d+",
    sigma_rel=r"0\.\d+",


@cache
def refuse_others():
    """Stop, once, where results lie that another config made."""

    def remembered(file):
        known = workflow.persistence.metadata(IOFile(str(file)))
        return known and known.params

    if workflow.is_main_process:
        try:
            refuse_foreign(experiment, remembered)
        except LtdmError as error:
            # An exception would reach the user as a traceback.
            sys.exit(f"ltdm: {error}")


def freeze(jobs):
    """Hold on to what is asked for: the config, and the code that each job is to run."""
    codes = {}
    for job in jobs:
        codes.setdefault(job.rule.name, set()).add(job.params.get("code"))
    asked.freeze(
        Path(root) / "logs",
        {
            "config": whole,
            "site": changed(here),
            "cluster": not workflow.local_exec,
            "codes": {rule: sorted(codes[rule] - {None}) for rule in sorted(codes)},
            "networks": [
                [*run, seed] for run in experiment.runs for seed in grid["seed"]
            ],
            "sample_sets": grid["sample_set"],
            "metrics": list(metrics),
        },
    )


def probe_outputs():
    """Return the table and the figures of the linear probe."""
    figures = expand(rules.probe_figure.output, dataset=grid["dataset"])
    return [*rules.probe_tables.output, *figures]


def theory_outputs():
    """Return the theory lab's tables and figures."""
    figures = [
        file
        for name, sweep in experiment.sweeps.items()
        for file in expand(rules.theory_figure.output, sweep=name, figure=sweep.figures)
    ]
    return [*rules.theory_tables.output, *figures]


def final_outputs():
    """Return what `snakemake` without arguments makes.

    A record that somebody deleted is made again, with what it describes; a large file that stands
    behind finished tables is not.
    """
    return [
        *[str(claim.record) for claim in claims(experiment)],
        *rules.tables.output,
        *rules.manifest.output,
        *expand(rules.figures.output, dataset=grid["dataset"]),
        *expand(rules.widths.output, dataset=experiment.swept),
        *expand(rules.grid.output, **grid),
        *expand(rules.copies.output, metric=searching, **grid),
        *(probe_outputs() if experiment.evaluate.probe else []),
        *(theory_outputs() if experiment.sweeps else []),
    ]
