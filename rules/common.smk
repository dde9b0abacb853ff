"""The checked config, the wildcards, and the functions that all rules share."""

import gc
import re
import shlex
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile

# The code beside the Snakefile runs, not an installed one.
sys.path.insert(0, workflow.basedir)

from ltdm.config import layout
from ltdm.config.artefacts import as_list, outputs, target_files
from ltdm.config.merge import merge, parse_cli_config, read_config
from ltdm.config.places import origins, place_of
from ltdm.pipeline import saved_plan, snapshot
from ltdm.pipeline.code_pairs import load_pairs
from ltdm.pipeline.lineage import lineage, manifest_request, page_inputs, page_request
from ltdm.pipeline.old_results import check_results_version
from ltdm.pipeline.records import check_records, is_finished, keep_recorded_text
from ltdm.plumbing import host
from ltdm.plumbing.code_digest import sources_digest
from ltdm.plumbing.compiling import set_compile_cache
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.options import suggest
from ltdm.theory.names import FIGURES

# Jobs of the DAG live to the end, and Python would look through all of them again and again.
gc.freeze()
gc.set_threshold(100_000, 100, 100)

host.replace_signs()
try:
    host.check_checkout(workflow.basedir)
    host.check_work_folder(Path.cwd())
except LtdmError as error:
    raise WorkflowError(str(error)) from None
host.export_to_jobs(workflow.basedir)
host.ensure_cache(".snakemake/cache")
# Snakemake puts this path into the commands of jobs, without quotes.
sys.executable = shlex.quote(sys.executable)

# Snakemake merges config files key by key; ltdm's merge also replaces a part with its options.
# A job reads its run's snapshot, since the config files may have changed meanwhile.
try:
    run_snapshot = None if workflow.is_main_process else snapshot.load()
    if run_snapshot:
        merged_config = run_snapshot["config"]
    else:
        # As written: Snakemake's `config` has `1e1` as 10.0.
        overlay = parse_cli_config(workflow.config_settings.config_args)
        merged_config = merge([read_config(workflow.configfiles), overlay])
except LtdmError as error:
    raise WorkflowError(str(error)) from None


@cache
def experiment():
    """Return the experiment, which takes PyTorch and seconds; most that is asked is in the plan."""
    from ltdm.config.experiment import Experiment

    return Experiment(merged_config)


try:
    plan = None
    if run_snapshot and "plan" in run_snapshot:
        plan = saved_plan.load(Path(run_snapshot["plan"]), experiment)
    plan = plan or saved_plan.find_plan(merged_config, experiment)
except LtdmError as error:
    place = "config"
    if isinstance(error, OptionError) and not run_snapshot:
        place = place_of(error.path, workflow.configfiles, overlay)
    raise WorkflowError(f"{place}: {error}") from None

networks = {axis: plan.axes[axis] for axis in ("dataset", "run", "seed")}
sample_sets = [
    {"dataset": dataset, "run": run, "seed": seed, "sample_set": sample_set}
    for dataset in plan.axes["dataset"]
    for run in plan.axes["run"]
    for seed in plan.axes["seed"]
    for sample_set in plan.networks[dataset, run].samples
]
root = str(plan.root)
set_compile_cache(layout.Layout(plan.root).compile_cache)
extractors, metrics = plan.axes["extractor"], plan.axes["metric"]


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
        hint = suggest(name, ["samples"])
        raise WorkflowError(f"--set-scatter: there is no {name!r}; {hint}")


wildcard_constraints:
    dataset="|".join(map(re.escape, plan.axes["dataset"])),
    run="|".join(re.escape(run) for run in {run: 0 for _, run in plan.networks}),
    sample_set="|".join(map(re.escape, plan.axes["sample_set"])),
    extractor="|".join(map(re.escape, extractors)),
    metric="|".join(map(re.escape, metrics)),
    sweep="|".join(map(re.escape, plan.axes["sweep"])),
    figure="|".join(FIGURES),
    seed=r"\d+",
    sigma_rel=r"0\.\d+",


def recorded_request(file):
    """Return the text of the request in Snakemake's notes on a file; None without notes."""
    notes = workflow.persistence.metadata(IOFile(str(file)))
    return notes.params[0] if notes and notes.params else None


@cache
def parents():
    """Return every artefact of the experiment with its parents."""
    return lineage(plan)


codes = {}


def request(rule):
    """Return a function of wildcards that gives the request of a rule's job, its one param."""

    def build(wildcards):
        values = dict(wildcards.items())
        now = plan.request(rule, values)
        codes.setdefault(rule, set()).add(now["code"])
        if not workflow.is_main_process or rule not in layout.RULES:
            return now
        file, *_ = as_list(next(iter(outputs(plan, rule, values).values())))
        return keep_recorded_text(now, recorded_request(file), load_pairs(root))

    return build


@cache
def check_foreign_results(*_):
    """Stop at results of another config, other code or ltdm 0.1; an input function, run once."""
    if workflow.is_main_process:
        try:
            check_results_version(plan.root)
            check_records(plan, recorded_request)
        except LtdmError as error:
            # Snakemake would show an exception as a traceback.
            sys.exit(f"ltdm: {error}")
    return []


def save_snapshot():
    """Save this run's config, site and the code of each rule, for its jobs and `ltdm status`."""
    snapshot.save(
        Path(root) / "logs",
        {
            "config": merged_config,
            "plan": str(saved_plan.plan_file(merged_config).absolute()),
            "sources": sources_digest(),
            "origins": origins(merged_config, workflow.configfiles, overlay),
            "site": non_defaults(cluster_site),
            "cluster": not workflow.local_exec,
            "codes": {rule: sorted(codes[rule]) for rule in sorted(codes)},
            "networks": [
                [*run, seed] for run in plan.networks for seed in plan.axes["seed"]
            ],
            "sets_of_run": {
                name: [*run.samples] for (_, name), run in plan.networks.items()
            },
            "metrics": metrics,
        },
    )


def print_warnings():
    """Print once, when the run begins, what the config will probably get wrong."""
    from ltdm.pipeline.warnings import warnings

    for warning in warnings(experiment(), on_this_machine=workflow.local_exec):
        print(f"ltdm: warning: {warning}", file=sys.stderr)
