"""Runs of a config that take their network from a released checkpoint."""

import hashlib
import os
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from ltdm.config.experiment import Experiment
from ltdm.config.requests import request
from ltdm.core.weights import read_weights
from ltdm.pipeline.cost import network_cost
from ltdm.pipeline.records import check_records
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.files import read_json
from tests.helpers.figure_files import draw
from tests.helpers.released import (
    NETWORK,
    checkpoint,
    network,
    released_state_dict,
)
from tests.helpers.smoke_config import check_refused, edited
from tests.helpers.tidy_rows import tidy
from tests.unit.cli.test_cli import ltdm

__all__ = ["checkpoint"]


def config(path, **run):
    """Return the smoke config with one run, `theirs`, whose network comes from a checkpoint."""
    train = {"import_checkpoint": str(path), **run.pop("train", {})}
    network = run.pop("network", NETWORK)
    result = edited("runs", {"theirs": {"network": network, "train": train, **run}})
    result["grid"]["run"] = ["theirs"]
    return result


UNCONDITIONAL = {"train": {"label_dropout": 1}, "sample": {"guidance": 0}}


@pytest.mark.parametrize(
    ("run", "word"),
    [
        (
            {"network": {**NETWORK, "ch": 64, "attn": [0]}},
            "network.ch is 32 in the checkpoint, 64 in the run; network.attn is [1] in the"
            " checkpoint, [0] in the run; `ltdm import`",
        ),
        ({"network": {**NETWORK, "norm_groups": 16}}, "norm_groups is 32 in the checkpoint, 16"),
        (
            {"network": {**NETWORK, "label_layers": True}},
            "network.label_layers is False in the checkpoint, True in the run",
        ),
        (
            {"network": {**NETWORK, "reserve": 0.1}},
            "network.reserve is 0.0 in the checkpoint, 0.1 in the run",
        ),
        ({"process": {"name": "vp", "T": 10}}, "T is 1000 in the checkpoint, 10 in the run"),
        (UNCONDITIONAL, "(0 if train.label_dropout is 1) is 10 in the checkpoint, 0 in the run"),
        ({"method": "igd", "train": {"label_dropout": 0}}, "one network per class in the run"),
    ],
)
def test_a_run_that_does_not_fit_its_checkpoint_is_refused(checkpoint, run, word):
    path, *_ = checkpoint()
    check_refused(config(path, **run), "runs.theirs.train.import_checkpoint", word)


@pytest.mark.parametrize(
    ("form", "word"),
    [
        ({"classes": 3}, "is 3 in the checkpoint, 10 in the run"),
        ({"channels": 3}, "the number of channels is 3 in the checkpoint, 1 in the run"),
        ({"classes": 0}, "(0 if train.label_dropout is 1) is 0 in the checkpoint"),
        ({"augment_dim": 9}, "if train.augment is ada) is 9 in the checkpoint, 0 in the run"),
    ],
)
def test_a_checkpoint_that_does_not_fit_its_run_is_refused(checkpoint, form, word):
    path, *_ = checkpoint(**form)
    check_refused(config(path), "runs.theirs.train.import_checkpoint", word)


@pytest.mark.parametrize(
    ("run", "place", "word"),
    [
        ({"train": {"init_from": "theirs"}}, "train.init_from", "cannot be used with import_"),
        (
            {"network": {**NETWORK, "ch_mult": [1, 2, 2, 2, 2]}},
            "network.ch_mult",
            "must be a multiple of 16, and it is 8",
        ),
    ],
)
def test_options_are_checked_with_a_checkpoint_too(checkpoint, run, place, word):
    path, *_ = checkpoint()
    check_refused(config(path, **run), f"runs.theirs.{place}", word)


def test_a_checkpoint_with_only_the_last_weights(tmp_path):
    path = tmp_path / "raw.pt"
    torch.save({"net_model": released_state_dict(network(0))}, path)
    with pytest.raises(OptionError, match=r"weights: is ema, .* only last weights; set it to last"):
        Experiment(config(path))
    last = config(path, sample={"weights": "last"})
    Experiment(last)
    last["runs"]["fine"] = {"network": NETWORK, "train": {"init_from": "theirs"}}
    last["grid"]["run"] = ["fine"]
    with pytest.raises(OptionError, match=r"fine.train.init_from: needs EMA weights"):
        Experiment(last)


def test_a_damaged_archive_is_refused(checkpoint):
    path, *_ = checkpoint()
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 6] = 250  # the version of zip that reads an entry
    path.write_bytes(content)
    with pytest.raises(OptionError, match=r"train.import_checkpoint: .*ckpt.pt is damaged"):
        Experiment(config(path))


def test_a_request_depends_on_the_checkpoint_s_content_and_use(checkpoint, tmp_path):
    """It does not depend on the path, the time, or options of training."""
    path, *_ = checkpoint()

    def request_text(path, **run):
        keys = {"dataset": "digits-lt", "run": "theirs", "seed": 0}
        return repr(request(Experiment(config(path, **run)), "train", keys))

    first = request_text(path)
    moved = path.rename(tmp_path / "moved.pt")
    os.utime(moved)
    assert request_text(moved) == first
    assert request_text(moved, train={"steps": 7, "batch_size": 9000}, method="cbdm") == first
    assert request_text(moved, network={**NETWORK, "dropout": 0.3}) != first
    checkpoint("moved.pt", legacy=True)
    assert request_text(moved) != first


def test_a_released_network_is_imported_sampled_and_finetuned(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTDM_DEVICE", "cpu")
    path, _, ema = checkpoint()
    settings = config("ckpt.pt")
    settings["runs"]["fine"] = {"network": NETWORK, "train": {"init_from": "theirs", "steps": 2}}
    settings["defaults"]["train"] |= {"lr": 1.0e-9, "warmup_steps": 100, "ema_decay": 0.0}
    settings["defaults"]["sample"]["guidance_power"] = 0.5  # by the counts of the data set
    settings["grid"]["run"] = ["theirs", "fine"]

    def write_config():
        Path("c.yaml").write_text(yaml.safe_dump(settings))

    write_config()
    ltdm("prepare", "c.yaml")
    printed = ltdm("train", "c.yaml")
    assert "theirs/seed-0/model" in printed and "fine/seed-0/model" in printed
    ltdm("sample", "c.yaml")
    folder = Path("results/smoke/runs/digits-lt/theirs/seed-0")
    record = read_json(folder / "run.json")
    assert record["checkpoint"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (record["steps"], record["weights"]) == (200000, ["ema", "last"])
    assert set(record["evaluations_per_image"].values()) == {0}
    assert record["parameters"] == sum(p.numel() for p in ema.parameters())
    tensors, about = read_weights(folder / "model.safetensors", "ema.")
    assert all(torch.equal(t, tensors[name]) for name, t in ema.state_dict().items())
    samples = read_json(folder / "main/samples.json")
    assert about["key"] == record["key"] == samples["model"]
    counts = Experiment(settings).datasets["digits-lt"].class_counts
    assert samples["class_counts"] == counts
    fine, _ = read_weights(folder.parents[1] / "fine/seed-0/model.safetensors", "ema.")
    assert all((t - fine[name]).abs().max() < 1e-6 for name, t in tensors.items())
    assert read_json(folder.parents[1] / "fine/seed-0/run.json")["init"] == record["key"]
    assert pd.read_csv(folder / "history.csv").empty
    check_records(Experiment(settings).plan, lambda file: None)

    path.unlink()
    assert ltdm("train", "c.yaml").count("already there") == 2
    ltdm("sample", "c.yaml")
    settings["grid"]["seed"] = [0, 1]
    write_config()
    assert "train.import_checkpoint: ckpt.pt is missing; fix the path" in ltdm(
        "train", "c.yaml", code=1
    )
    settings["grid"]["seed"] = [0]
    write_config()
    checkpoint(classes=10, legacy=True)
    assert "theirs/seed-0/model.safetensors\n" in ltdm("train", "c.yaml"), (
        "another content is another network"
    )


def test_an_imported_network_costs_no_training(checkpoint):
    path, *_ = checkpoint()
    experiment = Experiment(config(path))
    data, run = experiment.datasets["digits-lt"], experiment.runs["digits-lt", "theirs"]
    planned = network_cost(data, run, [])
    assert planned.train_images == planned.train_flops == 0
    assert planned.sample_images == 60
    file = path.with_name("c.yaml")
    file.write_text(yaml.safe_dump(config(path)))
    assert "no selected run is trained" in ltdm("bench", "runs", file, code=1)
    assert "is the input itself" in ltdm("bench", "runs", file, "--json", file, code=1)


def test_figures_leave_out_imported_networks(tmp_path):
    rows = tidy({"trained": [1.0], "theirs": [2.0]}, space="pixels")
    files = draw(tmp_path, rows, ("trained", "theirs"), imported=("theirs",))
    training, cost = (pd.read_csv(files[f"{name}_csv"]) for name in ("training", "cost"))
    assert {*training["run"]} == {"trained"}
    trained, theirs = cost.to_dict("records")
    assert trained["forward_equivalents"] == 10 * 8 * 4
    assert (trained["hours"], trained["on_front"]) == (0.5, True)
    assert (theirs["value"], theirs["on_front"]) == (2.0, False)
    assert pd.isna([theirs[name] for name in ("forward_equivalents", "hours", "device")]).all()
    alone = draw(tmp_path, rows, ("theirs",), imported=("theirs",))
    assert pd.read_csv(alone["training_csv"]).empty
