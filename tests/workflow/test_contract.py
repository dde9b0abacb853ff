"""The rules and the table of artefacts say the same, on a config that uses everything."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from ltdm.config.artefacts import as_list, inputs, outputs
from ltdm.config.experiment import Experiment
from ltdm.config.layout import RULES
from ltdm.config.requests import _Job, request
from ltdm.pipeline.cost import job_counts
from tests.helpers.dry_runs import dry_run

ROOT = Path(__file__).parents[2]
SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
DEFAULTS = {**SMOKE["defaults"], "train": {**SMOKE["defaults"]["train"], "posthoc_ema": {}}}
EVERYTHING = {
    **SMOKE,
    "experiment": "everything",
    "defaults": DEFAULTS,
    "grid": {"dataset": ["digits-lt"], "run": ["fine", "guided"], "seed": [0, 1]},
    "runs": {
        "ddpm": {},
        "weak": {"network": {"ch": 32}},
        "fine": {"train": {"init_from": "ddpm"}},
        "guided": {"sample": {"guide_run": "weak", "guidance": 0.5}},
    },
    "sample_sets": {"main": {}, "narrow": {"ema_sigma_rel": 0.05}, "wide": {"ema_sigma_rel": 0.1}},
    "theory": {"toy": {"betas": [0.0, 0.1], "figures": ["v-curve", "scores"]}},
}
EVERYTHING["evaluate"] = {**SMOKE["evaluate"], "probe": {"layers": [4]}}


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The experiment, the jobs of its dry run, and the rules that run beside Snakemake."""
    folder = tmp_path_factory.mktemp("everything")
    config = folder / "everything.yaml"
    config.write_text(yaml.safe_dump(EVERYTHING))
    return Experiment(EVERYTHING), *dry_run(config, folder)


def named(files):
    """Return named files of a job as text, lists sorted."""
    return {
        name: sorted([files_of] if isinstance(files_of, str) else map(str, files_of))
        for name, files_of in files.items()
    }


def expected(files):
    return {name: sorted(map(str, as_list(one))) for name, one in files.items()}


def faults(experiment, jobs, steps):
    """Return in what the jobs of a dry run are not those of the table."""
    found = []
    for job in jobs:
        rule, keys = job.rule.name, dict(job.wildcards_dict)
        if rule == "manifest":
            continue
        if rule not in steps:
            found.append(f"{rule} is not in the table")
            continue
        reads = {name: files for name, files in named(job.input).items() if name != "shards"}
        if named(job.output) != expected(outputs(experiment, rule, keys)):
            found.append(f"{rule} writes other files")
        if reads != expected(inputs(experiment, rule, keys)):
            found.append(f"{rule} reads other files")
        stage = import_module(f"ltdm.stages.{steps[rule].stage or rule}")
        takes = set(inspect.signature(stage.run).parameters) - {"request"}
        gives = {*steps[rule].inputs, *steps[rule].outputs}
        if not gives <= takes | ({"shards"}) and "pictures" not in takes:
            found.append(f"{stage.__name__} does not take {gives - takes}")
    return sorted(set(found))


def test_every_rule_has_a_job_here(planned):
    _, jobs, _ = planned
    assert {job.rule.name for job in jobs} == {*RULES, "manifest"}


def test_rules_stages_and_table_agree(planned):
    experiment, jobs, _ = planned
    assert faults(experiment, jobs, RULES) == []


def test_a_rule_that_is_left_out_of_the_table_is_found(planned):
    experiment, jobs, _ = planned
    fewer = {rule: step for rule, step in RULES.items() if rule != "ema"}
    assert faults(experiment, jobs, fewer) == ["ema is not in the table"]


def test_a_rule_has_one_param_which_is_its_request(planned):
    experiment, jobs, _ = planned
    for job in jobs:
        assert list(dict(job.params.items())) == ["request"]
        if job.rule.name in RULES:
            asked = request(experiment, job.rule.name, dict(job.wildcards_dict))
            assert repr(job.params.request) == repr(asked)


def test_jobs_on_a_cluster_name_memory_and_time(planned):
    _, jobs, local = planned
    cluster = {job.rule.name: job.resources for job in jobs if job.rule.name not in local}
    assert {"train", "sample", "probe", "theory", "metrics"} <= cluster.keys()
    for rule, resources in cluster.items():
        assert resources.mem_mb >= 4000, rule
        assert resources.runtime >= 20, rule


def test_the_plan_counts_these_jobs(planned):
    experiment, jobs, _ = planned
    counted = [job.rule.name for job in jobs]
    assert {rule: counted.count(rule) for rule in counted} == job_counts(experiment)


def test_every_request_is_that_of_a_rule():
    """So that a misspelt one cannot leave a rule without its options."""
    asked = {name for name in vars(_Job) if not name.startswith("_")}
    assert asked <= {*RULES, "sample_shard"}
