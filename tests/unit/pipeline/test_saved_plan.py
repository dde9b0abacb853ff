"""Plans in files: they are the plans of their experiments, and are used while nothing changed."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from ltdm.config.artefacts import inputs, jobs, outputs
from ltdm.config.experiment import Experiment
from ltdm.config.layout import RULES
from ltdm.config.merge import read_config
from ltdm.config.requests import request
from ltdm.pipeline import code_check, saved_plan
from ltdm.pipeline.lineage import manifest_request, page_request
from ltdm.plumbing.errors import LtdmError, OptionError
from tests.helpers.smoke_config import SMOKE, edited

CONFIG = Path(__file__).parents[3] / "config"
NAMES = ("cifar10-lt", "demo", "edm2-demo", "guidance", "memorization-demo", "theory")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """A work folder without saved plans."""
    monkeypatch.chdir(tmp_path)


def find(config):
    """Return the plan of a config, and whether it was a saved one."""
    loaded = []

    def load_experiment():
        loaded.append(Experiment(config))
        return loaded[0]

    return saved_plan.find_plan(config, load_experiment), not loaded


def test_saved_plan_is_the_plan():
    rules = set()
    for name in NAMES:
        experiment = Experiment(read_config([CONFIG / f"{name}.yaml"]))
        saved_plan.save(experiment, file := Path("plan.json"))
        plan = saved_plan.load(file, lambda experiment=experiment: experiment)
        assert [*jobs(plan)] == [*jobs(experiment.plan)]
        for rule, wildcards in jobs(plan):
            assert inputs(plan, rule, wildcards) == inputs(experiment.plan, rule, wildcards)
            assert outputs(plan, rule, wildcards) == outputs(experiment.plan, rule, wildcards)
            saved = plan.request(rule, {key: str(value) for key, value in wildcards.items()})
            now = request(experiment, rule, wildcards)
            assert (repr(saved), saved["where"]) == (repr(now), now["where"])
            rules.add(rule)
    assert {*RULES} - rules == set(), "every rule has a job in one of these configs"


def test_shards_share_a_saved_request():
    plan, _ = find(SMOKE)
    rule, wildcards = next(job for job in jobs(plan) if job[0] == "sample")
    shard = plan.request("sample_shard", {**wildcards, "scatteritem": "2-of-3"})
    assert shard == {**plan.request(rule, wildcards), "shard": [1, 3]}


def test_plan_is_saved_once_per_config_and_code(monkeypatch):
    assert not find(SMOKE)[1]
    plan, was_saved = find(SMOKE)
    assert was_saved
    assert plan.axes == Experiment(SMOKE).plan.axes
    assert not find(edited("grid/seed", [0, 1]))[1]
    swapped = {**SMOKE, "runs": dict(reversed(SMOKE["runs"].items()))}
    assert not find(swapped)[1], "the order of entries counts"
    monkeypatch.setattr(saved_plan, "sources_digest", lambda: "other code")
    assert not find(SMOKE)[1]


def test_other_keys_or_another_home_are_another_plan(monkeypatch):
    """A key 2 is refused, unlike "2"; and paths below ~ are in the plan."""
    as_text, as_number = ({**SMOKE, "runs": {key: {}}} for key in ("2", 2))
    assert saved_plan.plan_file(as_text) != saved_plan.plan_file(as_number)
    before = saved_plan.plan_file(SMOKE)
    monkeypatch.setenv("HOME", "/elsewhere")
    assert saved_plan.plan_file(SMOKE) != before


def test_file_beyond_the_targets_is_requested_of_the_experiment():
    config = read_config([CONFIG / "edm2-demo.yaml"])
    find(config)
    plan, was_saved = find(config)
    assert was_saved
    width = {"dataset": "digits-lt", "run": "edm2-c", "seed": 0, "sigma_rel": "0.07"}
    assert plan.request("ema", width)["sigma_rel"] == 0.07


def test_plan_that_cannot_be_saved_stops_nothing():
    saved_plan.FOLDER.parent.mkdir()
    saved_plan.FOLDER.touch()  # a file, where the folder would be
    assert find(SMOKE)[0].axes


def test_several_processes_save_one_plan():
    experiment, fork = Experiment(SMOKE), multiprocessing.get_context("fork")
    file = saved_plan.plan_file(SMOKE)

    def save_often():
        for _ in range(30):
            saved_plan.save(experiment, file)

    processes = [fork.Process(target=save_often) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert [*saved_plan.FOLDER.iterdir()] == [file]
    assert find(SMOKE)[1]


def test_plan_with_a_released_checkpoint_is_made_each_time():
    find(SMOKE)
    file = saved_plan.plan_file(SMOKE)
    file.write_text(file.read_text().replace('"released": false', '"released": true'))
    assert not find(SMOKE)[1]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"plan": {}, "released": false}'])
def test_damaged_plan_is_made_again(content):
    find(SMOKE)
    saved_plan.plan_file(SMOKE).write_text(content)
    assert not find(SMOKE)[1]
    assert find(SMOKE)[1]


def test_errors_are_not_saved():
    bad = edited("grid/seed", [])
    for _ in range(2):
        with pytest.raises(OptionError, match="must be a list with entries"):
            find(bad)
    assert not saved_plan.plan_file(bad).exists()


def test_plan_of_changed_data_is_made_again():
    rng = np.random.default_rng(0)

    def write(images):
        labels = np.arange(images) % 2
        pixels = rng.integers(0, 256, (images, 8, 8), dtype=np.uint8)
        np.savez("data.npz", x_train=pixels, y_train=labels)

    write(400)
    data = {"source": "npz", "path": "data.npz", "imbalance": 0.5}
    config = edited("datasets/digits-lt", data)
    config["evaluate"]["table_columns"] = ["frechet"]
    assert not find(config)[1]
    assert find(config)[1]
    write(600)
    assert not find(config)[1]
    Path("data.npz").unlink()
    with pytest.raises(OptionError, match=r"data\.npz"):
        find(config)


def test_plan_is_made_again_until_its_extractor_is_prepared():
    config = edited(
        "evaluate/extractors", ["pixels", {"name": "inception", "path": "inception.pth"}]
    )
    Path("inception.pth").touch()
    assert not find(config)[1]
    assert not find(config)[1]
    weights = Path("results/smoke/data/digits-lt/extractors/inception.safetensors")
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert find(config)[1]


def test_only_the_newest_plans_are_kept(monkeypatch):
    monkeypatch.setattr(saved_plan, "MAX_FILES", 2)
    for seed in range(4):
        find(edited("grid/seed", [seed]))
    assert len([*saved_plan.FOLDER.iterdir()]) == 2
    assert find(edited("grid/seed", [3]))[1]


def test_job_refuses_code_that_changed_since_its_run_began(monkeypatch):
    plan, _ = find(SMOKE)
    begun = {"config": SMOKE, "sources": code_check.sources_digest(), "codes": {}}
    rule, wildcards = next(job for job in jobs(plan) if job[0] == "train")
    code_check.check_code(None, rule, wildcards, "any")
    code_check.check_code(begun, rule, wildcards, "any")
    monkeypatch.setattr(code_check, "sources_digest", lambda: "a comment was added")
    codes = {
        rule: plan.request(rule, wildcards)["code"],
        "page": page_request(plan)["code"],
        "manifest": manifest_request(plan, {})["code"],
    }
    for name, code in codes.items():
        code_check.check_code(begun, name, wildcards, code)
        with pytest.raises(LtdmError, match=f"code of the rule {name} has changed"):
            code_check.check_code(begun, name, wildcards, f"{code}0")
        remade = {**begun, "codes": {name: [f"{code}0"]}}  # the job made its plan from the new code
        with pytest.raises(LtdmError, match=f"code of the rule {name} has changed"):
            code_check.check_code(remade, name, wildcards, code)
    with pytest.raises(LtdmError, match="has changed"):
        code_check.check_code({**begun, "config": {}}, rule, wildcards, codes[rule])
