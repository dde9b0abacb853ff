"""A change reruns what it touches and nothing else: each property is a dry run."""

import os
import shutil
import time

import yaml

from ltdm.source import digest

SCORE = {"features": 2, "metrics": 2, "sample": 1, "grid": 1}
END = {"tables": 1, "figures": 1, "all": 1}


def rules(jobs, run):
    return sorted({rule for rule, of in jobs if of == run})


def test_finished_means_nothing_to_do(checkout):
    assert checkout.planned() == {}


def test_an_option_of_one_run(checkout):
    checkout.edit("config/smoke.yaml", "method: cbdm", "method: {name: cbdm, tau: 0.5}")
    assert checkout.planned() == {"train": 1, **SCORE, **END}
    jobs = checkout.jobs()
    assert rules(jobs, "cbdm") == ["features", "grid", "metrics", "sample", "train"]
    assert rules(jobs, "ddpm") == []


def test_a_sampling_option(checkout):
    checkout.edit("config/smoke.yaml", "guidance: 0.5", "guidance: 0.7")
    assert checkout.planned() == {**{k: 2 * n for k, n in SCORE.items()}, **END}


def test_a_new_metric(checkout):
    checkout.edit("config/smoke.yaml", "metrics: [frechet,", "metrics: [frechet, kid,")
    assert checkout.planned() == {"metrics": 2, **END}


def test_a_metric_option(checkout):
    checkout.edit("config/smoke.yaml", "precision-recall]", "{name: precision-recall, k: 5}]")
    assert checkout.planned() == {"metrics": 2, **END}


def test_a_new_seed_and_a_removed_run(checkout):
    checkout.edit("config/smoke.yaml", "seed: [0]", "seed: [0, 1]")
    checkout.edit("config/smoke.yaml", "run: [ddpm, cbdm]", "run: [ddpm]")
    assert checkout.planned() == {"train": 1, **SCORE, **END}


def test_another_data_set(checkout):
    checkout.edit("config/smoke.yaml", "imbalance: 0.1", "imbalance: 0.2")
    planned = checkout.planned()
    assert planned["prepare"] == 1
    assert planned["train"] == 2


def test_touched_reformatted_and_reordered(checkout):
    config = yaml.safe_load(checkout.config.read_text())
    config["defaults"] = dict(reversed(config["defaults"].items()))
    config["defaults"]["train"] = dict(reversed(config["defaults"]["train"].items()))
    config["runs"]["cbdm"] = {"method": {"tau": 1.0, "name": "cbdm"}}  # its default, spelled out
    text = yaml.safe_dump(dict(reversed(config.items())), sort_keys=False)
    checkout.config.write_text("# a comment\n" + text)
    for file in (checkout.folder / "ltdm").rglob("*.py"):
        file.write_text("# a comment\n" + file.read_text().replace("\n\n\n", "\n\n\n\n"))
    for file in (checkout.folder / "workflow/scripts").glob("*.py"):
        os.utime(file)
    assert checkout.planned() == {}


def test_a_fresh_clone_with_the_same_results(checkout):
    shutil.rmtree(checkout.folder / ".snakemake")
    time.sleep(0.01)
    for part in ("Snakefile", "rules", "workflow", "config", "ltdm"):
        for file in [checkout.folder / part, *(checkout.folder / part).rglob("*")]:
            os.utime(file)
    assert checkout.planned() == {}


def test_a_fix_in_one_method(checkout):
    checkout.edit("ltdm/methods/cbdm.py", "mine = own[batch.kept]", "mine = 1.0 * own[batch.kept]")
    assert checkout.planned() == {"train": 1, **SCORE, **END}
    assert rules(checkout.jobs(), "ddpm") == []


def test_a_fix_in_the_sampler_trains_nothing(checkout):
    checkout.edit("ltdm/samplers/ddim.py", "    return x\n", "    return 1.0 * x\n")
    assert checkout.planned() == {**{k: 2 * n for k, n in SCORE.items()}, **END}


def test_a_fix_in_a_metric_runs_no_network(checkout):
    checkout.edit("ltdm/metrics/frechet.py", "    return n >= 10 * d\n", "    return n >= 9 * d\n")
    assert checkout.planned() == {"metrics": 2, **END}


def test_another_look_of_the_figures_draws_figures_only(checkout):
    checkout.edit("ltdm/reporting/figures.py", "alpha=0.15", "alpha=0.3")
    assert checkout.planned() == {"figures": 1, "all": 1}


def test_plumbing_is_not_part_of_a_result(checkout):
    checkout.edit("ltdm/files.py", "the disk quota is used up", "your disk quota is used up")
    checkout.edit("ltdm/progress.py", "LINE_EVERY = 10.0", "LINE_EVERY = 5.0")
    assert checkout.planned() == {}


def test_a_digest_sees_what_a_stage_imports_and_no_more():
    ddpm, cbdm = (digest("ltdm.stages.train", f"ltdm.methods.{m}") for m in ("ddpm", "cbdm"))
    assert ddpm != cbdm
    assert digest("ltdm.stages.train", "ltdm.methods.ddpm") == ddpm
    assert len(ddpm) == 16


def test_a_new_method_is_one_file_and_a_config_entry(checkout):
    methods = checkout.folder / "ltdm/methods"
    (methods / "my_own.py").write_text((methods / "ddpm.py").read_text())
    checkout.edit("config/smoke.yaml", "run: [ddpm, cbdm]", "run: [ddpm, cbdm, mine]")
    checkout.edit("config/smoke.yaml", "  ddpm: {}\n", "  ddpm: {}\n  mine: {method: my-own}\n")
    assert checkout.planned() == {"train": 1, **SCORE, **END}
    model = "results/smoke/runs/digits-lt/mine/seed-0/model.safetensors"
    checkout.snakemake("--cores", "1", model)
    plain = checkout.results / "runs/digits-lt/ddpm/seed-0/history.csv"
    assert (checkout.folder / model).with_name("history.csv").read_text() == plain.read_text()
