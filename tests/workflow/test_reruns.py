"""A change reruns what depends on it and nothing else, by dry runs."""

import os

import numpy as np
import torch
import yaml
from sklearn.datasets import load_digits

from ltdm.config.experiment import Experiment
from ltdm.config.merge import read_config
from ltdm.pipeline.cost import job_counts
from ltdm.plumbing.code_digest import digest
from tests.helpers.released import network, released_state_dict

SCORE = {
    "features": 2,
    "neighbours": 1,
    "copies_figure": 1,
    "metrics": 3,
    "sample": 1,
    "sample_sheet": 1,
}
END = {"tables": 1, "figures": 1, "manifest": 1, "page": 1, "all": 1}
SEARCH = {"neighbours": 2, "unseen_neighbours": 1, "copies_figure": 2, "metrics": 2}
FIX = ("pull = mse(own.F, other.F.detach())", "pull = mse(1.0 * own.F, other.F.detach())")
"""A change of cbdm's code that does not change its result."""


def rules(due, run):
    return sorted({rule for rule, its_run in due if its_run == run})


def test_finished_run_has_no_jobs(checkout):
    assert checkout.planned() == {}
    shared = ("--set-scatter", "samples=4")
    assert checkout.planned(*shared) == {}, "for any number of shards"


def test_an_option_of_one_run(checkout):
    checkout.edit("config/smoke.yaml", "method: cbdm", "method: {name: cbdm, tau: 0.5}")
    assert checkout.planned() == {"train": 1, **SCORE, **END}
    due = checkout.jobs()
    assert rules(due, "cbdm") == sorted(["train", *SCORE])
    assert rules(due, "ddpm") == []


def test_a_sampling_option(checkout):
    checkout.edit("config/smoke.yaml", "guidance: 0.5", "guidance: 0.7")
    assert checkout.planned() == {**{k: 2 * n for k, n in SCORE.items()}, **END}


def test_a_new_metric(checkout):
    checkout.edit("config/smoke.yaml", "metrics: [frechet,", "metrics: [frechet, kid,")
    assert checkout.planned() == {"metrics": 2, **END}


def test_a_metric_option(checkout):
    checkout.edit("config/smoke.yaml", "precision-recall,", "{name: precision-recall, k: 5},")
    assert checkout.planned() == {"metrics": 2, **END}


def test_option_of_the_metric_and_option_of_its_search(checkout):
    checkout.edit("config/smoke.yaml", "memorization]", "{name: memorization, alpha: 0.4}]")
    assert checkout.planned() == {"metrics": 2, **END}
    checkout.edit("config/smoke.yaml", "alpha: 0.4", "flip: true")
    assert checkout.planned() == {**SEARCH, **END}


def test_a_new_seed_and_a_removed_run(checkout):
    checkout.edit("config/smoke.yaml", "seed: [0]", "seed: [0, 1]")
    checkout.edit("config/smoke.yaml", "run: [ddpm, cbdm]", "run: [ddpm]")
    assert checkout.planned() == {"train": 1, **SCORE, **END}


def test_removed_run_or_metric(checkout):
    checkout.edit("config/smoke.yaml", "run: [ddpm, cbdm]", "run: [ddpm]")
    assert checkout.planned() == END
    checkout.edit("config/smoke.yaml", "run: [ddpm]", "run: [ddpm, cbdm]")
    checkout.edit("config/smoke.yaml", "precision-recall, memorization]", "precision-recall]")
    assert checkout.planned() == END


def test_another_data_set(checkout):
    checkout.edit("config/smoke.yaml", "imbalance: 0.1", "imbalance: 0.2")
    planned = checkout.planned()
    assert planned["prepare"] == 1
    assert planned["train"] == 2


def test_the_plan_counts_the_jobs_of_a_dry_run(checkout):
    planned = checkout.planned("--config", "experiment=another")
    assert planned == {**job_counts(Experiment(read_config([checkout.config]))), "all": 1}


def test_touched_reformatted_and_reordered(checkout):
    config = yaml.safe_load(checkout.config.read_text())
    config["defaults"] = dict(reversed(config["defaults"].items()))
    config["defaults"]["train"] = dict(reversed(config["defaults"]["train"].items()))
    config["runs"]["cbdm"] = {"method": {"tau": 1.0, "name": "cbdm"}}  # its default, set explicitly
    text = yaml.safe_dump(dict(reversed(config.items())), sort_keys=False)
    checkout.config.write_text("# a comment\n" + text)
    for file in (checkout.folder / "ltdm").rglob("*.py"):
        file.write_text("# a comment\n" + file.read_text().replace("\n\n\n", "\n\n\n\n"))
    for file in (checkout.folder / "workflow/scripts").glob("*.py"):
        os.utime(file)
    assert checkout.planned() == {}


def test_restricted_grid_runs_no_network_again(checkout):
    assert checkout.planned("--config", "run=cbdm", "seed=0") == END
    assert checkout.planned("--config", "run=ddpm,cbdm") == {}
    for text, hint in (("cbmd", "did you mean 'cbdm'?"), ("no", "known: "), ("1e1", "known: ")):
        printed = checkout.snakemake("--dry-run", "--config", f"run={text}", ok=False)
        assert f"run: '{text}' is not in the grid; {hint}" in printed


def test_values_on_the_command_line_are_read_as_yaml(checkout):
    same = "defaults={train: {steps: 40, lr: 1.0e-3}, sample: {sampler: {steps: 3}}}"
    assert checkout.planned("--config", same) == {}
    assert checkout.planned("--config", "runs={cbdm: {method: {tau: 0.5}}}")["train"] == 1


def test_several_config_files_and_inherited_files(checkout):
    (checkout.folder / "over.yaml").write_text("runs: {cbdm: {method: {tau: 0.5}}}")
    checkout.configs += ["over.yaml"]
    assert checkout.planned() == {"train": 1, **SCORE, **END}
    (checkout.folder / "config/heir.yaml").write_text("inherits: smoke.yaml")
    checkout.configs = ["config/heir.yaml"]
    assert checkout.planned() == {}


def test_moved_data_and_changed_data(checkout):
    digits, labels = load_digits(return_X_y=True)
    first, other = checkout.folder / "first.npz", checkout.folder / "other.npz"
    images = digits.reshape(-1, 8, 8).astype(np.uint8)
    np.savez(first, x_train=images, y_train=labels)
    dataset = "digits-lt: {source: npz, path: first.npz, imbalance: 0.1}"
    checkout.edit("config/smoke.yaml", "experiment: smoke", "experiment: own")
    checkout.edit(
        "config/smoke.yaml", "digits-lt: {source: digits, profile: exp, imbalance: 0.1}", dataset
    )
    model = "results/own/runs/digits-lt/ddpm/seed-0/model.safetensors"
    checkout.snakemake("--cores", "1", model)
    first.rename(other)
    os.utime(other, (2**32, 2**32))
    assert checkout.planned(model) == {}, "the prepared data set stays valid without its source"
    checkout.edit("config/smoke.yaml", "path: first.npz", "path: other.npz")
    assert checkout.planned(model) == {}, "neither another path nor a time in the future counts"
    np.savez(other, x_train=images + 1, y_train=labels)
    assert checkout.planned(model) == {"prepare": 1, "train": 1}


def test_a_fix_in_one_method(checkout):
    checkout.edit("ltdm/methods/cbdm.py", *FIX)
    assert checkout.planned() == {"train": 1, **SCORE, **END}
    assert rules(checkout.jobs(), "ddpm") == []


def test_a_run_that_starts_from_another(checkout):
    """It is trained after the other and again whenever that is; its record has the other's key."""
    fine = "fine: {method: {name: cbdm, label_distribution: uniform}, train: {init_from: ddpm}}"
    checkout.edit("config/smoke.yaml", "run: [ddpm, cbdm]", "run: [fine]")
    checkout.edit("config/smoke.yaml", "  ddpm: {}\n", f"  ddpm: {{}}\n  {fine}\n")
    assert checkout.planned() == {"train": 1, **SCORE, **END}
    model = "results/smoke/runs/digits-lt/fine/seed-0/model.safetensors"
    checkout.snakemake("--cores", "1", model)
    assert checkout.planned(model) == {}
    checkout.edit("config/smoke.yaml", "  ddpm: {}\n", "  ddpm: {train: {grad_clip: 0.5}}\n")
    assert checkout.planned(model) == {"train": 2}
    checkout.edit("config/smoke.yaml", "  ddpm: {train: {grad_clip: 0.5}}\n", "  ddpm: {}\n")
    checkout.forget()
    checkout.rewrite("runs/digits-lt/fine/seed-0/run.json", init="another")
    printed = checkout.snakemake("--cores", "1", ok=False)
    assert 'fine/seed-0/run.json (init was "another", now' in printed


def test_released_checkpoint(checkout):
    """The contents of its file count, not the path or time, nor whether it still exists."""
    file, moved = checkout.folder / "theirs.pt", checkout.folder / "moved.pt"
    torch.save({"ema_model": released_state_dict(network(0))}, file)
    run = "{network: {ch: 32, norm_groups: 32}, train: {import_checkpoint: theirs.pt}}"
    checkout.edit("config/smoke.yaml", "run: [ddpm, cbdm]", "run: [ddpm, cbdm, theirs]")
    checkout.edit("config/smoke.yaml", "  ddpm: {}\n", f"  ddpm: {{}}\n  theirs: {run}\n")
    assert checkout.planned() == {"train": 1, **SCORE, **END}
    folder = "results/smoke/runs/digits-lt/theirs/seed-0"
    images = f"{folder}/main/samples.npz"
    checkout.snakemake("--cores", "1", images)
    file.rename(moved)
    assert checkout.planned(images) == {}, "its record stays valid without the file"
    checkout.edit("config/smoke.yaml", "theirs.pt", "moved.pt")
    os.utime(moved)
    checkout.edit("config/smoke.yaml", "steps: 40, batch_size: 16", "steps: 50, batch_size: 16")
    assert checkout.planned(images) == {}, "it is not trained"
    torch.save({"ema_model": released_state_dict(network(1))}, moved)
    assert checkout.planned(images) == {"train": 1, "sample": 1}
    moved.unlink()
    (checkout.folder / folder / "run.json").unlink()
    printed = checkout.snakemake("--dry-run", ok=False)
    assert "runs.theirs.train.import_checkpoint: moved.pt is missing; fix the path" in printed


def test_a_fix_in_the_sampler_trains_nothing(checkout):
    checkout.edit("ltdm/samplers/ddim.py", "    return x\n", "    return 1.0 * x\n")
    assert checkout.planned() == {**{k: 2 * n for k, n in SCORE.items()}, **END}


def test_a_fix_in_a_metric_runs_no_network(checkout):
    checkout.edit("ltdm/metrics/frechet.py", "    return n >= 10 * d\n", "    return n >= 9 * d\n")
    assert checkout.planned() == {"metrics": 2, **END}


def test_fix_in_a_figure_draws_figures_only(checkout):
    checkout.edit("ltdm/reporting/figures.py", "MAX_MARKERS = 12", "MAX_MARKERS = 9")
    assert checkout.planned() == {"figures": 1, "page": 1, "all": 1}


def test_a_fix_of_a_template_makes_the_page_anew(checkout):
    checkout.edit("ltdm/reporting/templates/page.css", "max-height: 30vh", "max-height: 40vh")
    assert checkout.planned() == {"page": 1, "all": 1}


def test_fix_in_the_neighbour_search_or_in_the_copies_figure(checkout):
    checkout.edit("ltdm/reporting/copies.py", "COLUMNS = 5", "COLUMNS = 6")
    assert checkout.planned() == {"copies_figure": 2, "page": 1, "all": 1}
    checkout.edit("ltdm/metrics/_nearest_train.py", "BLOCK_IMAGES = 4096", "BLOCK_IMAGES = 2048")
    assert checkout.planned() == {**SEARCH, **END}


def test_plumbing_is_not_part_of_a_result(checkout):
    checkout.edit(
        "ltdm/plumbing/files.py", "the disk quota is used up", "your disk quota is used up"
    )
    checkout.edit("ltdm/plumbing/progress.py", "LINE_INTERVAL = 10.0", "LINE_INTERVAL = 5.0")
    assert checkout.planned() == {}


def test_digest_covers_what_a_stage_imports_and_no_more():
    ddpm, cbdm = (digest("ltdm.stages.single", f"ltdm.methods.{m}") for m in ("ddpm", "cbdm"))
    assert ddpm != cbdm
    assert digest("ltdm.stages.single", "ltdm.methods.ddpm") == ddpm
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
