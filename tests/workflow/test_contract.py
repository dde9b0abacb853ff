"""The rules agree with the table of rules, on a config that uses every rule."""

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
        "fine": {"train": {"init_from": "ddpm"}, "omit_sample_sets": ["narrow", "wide"]},
        "guided": {"sample": {"guide_run": "weak", "guidance": 0.5}},
    },
    "sample_sets": {"main": {}, "narrow": {"ema_sigma_rel": 0.05}, "wide": {"ema_sigma_rel": 0.1}},
    "theory": {"toy": {"betas": [0.0, 0.1], "figures": ["v-curve", "scores"]}},
}
EVERYTHING["sample_sets"]["with-more"] = {"guidance": 1.0}
EVERYTHING["evaluate"] = {
    **SMOKE["evaluate"],
    "extractors": ["pixels", "vgg16"],
    "metrics": ["frechet", {"name": "precision-recall", "extractor": "vgg16"}, "memorization"],
    "probe": {"layers": [4]},
    "tuning_half": True,
}


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The experiment, the jobs of its dry run, and its local rules."""
    folder = tmp_path_factory.mktemp("everything")
    config = folder / "everything.yaml"
    config.write_text(yaml.safe_dump(EVERYTHING))
    return Experiment(EVERYTHING), *dry_run(config, folder)


def as_text(files):
    """Return a job's files by keyword, as sorted lists of text."""
    return {
        name: sorted([value] if isinstance(value, str) else map(str, value))
        for name, value in files.items()
    }


def expected(files):
    return {name: sorted(map(str, as_list(value))) for name, value in files.items()}


def faults(experiment, jobs, rules):
    """Return how the jobs of a dry run differ from those of the table `rules`."""
    differences = []
    for job in jobs:
        rule, wildcards = job.rule.name, dict(job.wildcards_dict)
        if rule in ("manifest", "page"):
            continue
        if rule not in rules:
            differences.append(f"{rule} is not in the table")
            continue
        reads = {name: files for name, files in as_text(job.input).items() if name != "shards"}
        if as_text(job.output) != expected(outputs(experiment.plan, rule, wildcards)):
            differences.append(f"{rule} writes other files")
        if reads != expected(inputs(experiment.plan, rule, wildcards)):
            differences.append(f"{rule} reads other files")
        stage = import_module(f"ltdm.stages.{rules[rule].stage or rule}")
        parameters = set(inspect.signature(stage.run).parameters) - {"request"}
        keywords = {*rules[rule].inputs, *rules[rule].outputs}
        if not keywords <= parameters | {"shards"} and "files" not in parameters:
            differences.append(f"{stage.__name__} does not take {keywords - parameters}")
    return sorted(set(differences))


def test_config_uses_every_rule(planned):
    _, jobs, _ = planned
    assert {job.rule.name for job in jobs} == {*RULES, "manifest", "page"}


def test_rules_stages_and_table_agree(planned):
    experiment, jobs, _ = planned
    assert faults(experiment, jobs, RULES) == []


def test_rule_missing_from_the_table_is_found(planned):
    experiment, jobs, _ = planned
    fewer = {name: rule for name, rule in RULES.items() if name != "ema"}
    assert faults(experiment, jobs, fewer) == ["ema is not in the table"]


def test_the_one_param_of_a_rule_is_its_request(planned):
    experiment, jobs, _ = planned
    for job in jobs:
        assert list(dict(job.params.items())) == ["request"]
        if job.rule.name in RULES:
            expected_request = request(experiment, job.rule.name, dict(job.wildcards_dict))
            assert repr(job.params.request) == repr(expected_request)


def test_submitted_jobs_request_memory_and_time(planned):
    _, jobs, local = planned
    cluster = {job.rule.name: job.resources for job in jobs if job.rule.name not in local}
    assert {"train", "sample", "probe", "theory", "metrics"} <= cluster.keys()
    for rule, resources in cluster.items():
        assert resources.mem_mb >= 4000, rule
        assert resources.runtime >= 20, rule


def test_plan_counts_these_jobs(planned):
    experiment, jobs, _ = planned
    counted = [job.rule.name for job in jobs]
    assert {rule: counted.count(rule) for rule in counted} == job_counts(experiment)


def test_every_request_method_is_named_after_a_rule():
    """A misspelt name would leave a rule without its options."""
    methods = {name for name in vars(_Job) if not name.startswith("_")}
    assert methods <= {*RULES, "sample_shard", "page"}
