"""Runs of a config that take their network from a released checkpoint."""

import hashlib
import os
from pathlib import Path

import numpy as np
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
from ltdm.plumbing.files import read_json, write_npz
from ltdm.stages import figures
from ltdm.stages.released import HISTORY
from tests.helpers.released import (
    NETWORK,
    checkpoint,
    network,
    their_names,
)
from tests.unit.cli.test_cli import ltdm
from tests.unit.config.test_config import edited

__all__ = ["checkpoint"]


def config(path, **run):
    """The smoke config with one run that takes its network from a checkpoint."""
    train = {"import_checkpoint": str(path), **run.pop("train", {})}
    network = run.pop("network", NETWORK)
    made = edited("runs", {"theirs": {"network": network, "train": train, **run}})
    made["grid"]["run"] = ["theirs"]
    return made


@pytest.mark.parametrize(
    ("form", "run", "where", "message"),
    [
        ({}, {"network": {**NETWORK, "ch": 64, "attn": [0]}}, "train.import_checkpoint",
         "network.ch is 32 there, 64 here, network.attn is [1] there, [0] here; `ltdm import`"),
        ({}, {"network": {**NETWORK, "norm_groups": 16}}, "train.import_checkpoint",
         "norm_groups is 32 there, 16"),
        ({}, {"process": {"name": "vp", "T": 10}}, "train.import_checkpoint",
         "T is 1000 there, 10 here"),
        ({"classes": 3}, {}, "train.import_checkpoint", "is 3 there, 10 here"),
        ({"channels": 3}, {}, "train.import_checkpoint",
         "the number of channels is 3 there, 1 here"),
        ({"classes": 0}, {}, "train.import_checkpoint",
         "(none if train.label_dropout is 1) is 0 there"),
        ({}, {"train": {"label_dropout": 1}, "sample": {"guidance": 0}}, "train.import_checkpoint",
         "is 10 there, 0 here"),
        ({"told": 9}, {}, "train.import_checkpoint", "if train.augment is ada) is 9 there, 0 here"),
        ({}, {"method": "igd", "train": {"label_dropout": 0}}, "train.import_checkpoint",
         "one a network"),
        ({}, {"train": {"init_from": "theirs"}}, "train.init_from", "goes with no checkpoint"),
        ({}, {"network": {**NETWORK, "ch_mult": [1, 2, 2, 2, 2]}}, "network.ch_mult",
         "the image side must be a multiple of 16, and it is 8"),
    ],
)  # fmt: skip
def test_a_run_that_does_not_fit_its_checkpoint(checkpoint, form, run, where, message):
    path, *_ = checkpoint(**form)
    with pytest.raises(OptionError) as caught:
        Experiment(config(path, **run))
    assert str(caught.value).startswith(f"runs.theirs.{where}: ")
    assert message in str(caught.value)


def test_a_checkpoint_with_one_set_of_weights(tmp_path):
    path = tmp_path / "raw.pt"
    torch.save({"net_model": their_names(network(0))}, path)
    with pytest.raises(OptionError, match=r"weights: is ema, .* alone; set it to last"):
        Experiment(config(path))
    made = config(path, sample={"weights": "last"})
    Experiment(made)
    made["runs"]["fine"] = {"network": NETWORK, "train": {"init_from": "theirs"}}
    made["grid"]["run"] = ["fine"]
    with pytest.raises(OptionError, match=r"fine.train.init_from: needs averaged weights"):
        Experiment(made)


def test_a_damaged_index_of_an_archive(checkpoint):
    path, *_ = checkpoint()
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 6] = 250  # the version of zip that reads an entry
    path.write_bytes(content)
    with pytest.raises(OptionError, match=r"train.import_checkpoint: .*ckpt.pt is damaged"):
        Experiment(config(path))


def test_what_decides_an_imported_network(checkpoint, tmp_path):
    """What its file holds and is used as; no path, no time, no option of training."""
    path, *_ = checkpoint()

    def who(path, **run):
        keys = {"dataset": "digits-lt", "run": "theirs", "seed": 0}
        return repr(request(Experiment(config(path, **run)), "train", keys))

    first = who(path)
    moved = path.rename(tmp_path / "moved.pt")
    os.utime(moved)
    assert who(moved) == first
    assert who(moved, train={"steps": 7, "batch_size": 9000}, method="cbdm") == first
    assert who(moved, network={**NETWORK, "dropout": 0.3}) != first
    checkpoint("moved.pt", legacy=True)
    assert who(moved) != first


def test_a_run_of_a_released_network_from_end_to_end(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTDM_DEVICE", "cpu")
    path, _, ema = checkpoint()
    made = config("ckpt.pt")
    made["runs"]["fine"] = {"network": NETWORK, "train": {"init_from": "theirs", "steps": 2}}
    made["defaults"]["train"] |= {"lr": 1.0e-9, "warmup_steps": 100, "ema_decay": 0.0}
    made["grid"]["run"] = ["theirs", "fine"]

    def write():
        Path("c.yaml").write_text(yaml.safe_dump(made))

    write()
    ltdm("prepare", "c.yaml")
    printed = ltdm("train", "c.yaml")
    assert "theirs/seed-0/model" in printed and "fine/seed-0/model" in printed
    ltdm("sample", "c.yaml")
    folder = Path("results/smoke/runs/digits-lt/theirs/seed-0")
    record = read_json(folder / "run.json")
    assert record["checkpoint"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (record["updates"], record["weights"]) == (200000, ["ema", "last"])
    assert set(record["evaluations_per_image"].values()) == {0}
    assert record["parameters"] == sum(p.numel() for p in ema.parameters())
    tensors, about = read_weights(folder / "model.safetensors", "ema.")
    assert all(torch.equal(t, tensors[name]) for name, t in ema.state_dict().items())
    assert about["key"] == record["key"] == read_json(folder / "main/samples.json")["model"]
    fine, _ = read_weights(folder.parents[1] / "fine/seed-0/model.safetensors", "ema.")
    assert all((t - fine[name]).abs().max() < 1e-6 for name, t in tensors.items())
    assert read_json(folder.parents[1] / "fine/seed-0/run.json")["init"] == record["key"]
    assert pd.read_csv(folder / "history.csv").empty
    check_records(Experiment(made), lambda file: None)

    path.unlink()
    assert ltdm("train", "c.yaml").count("already there") == 2
    ltdm("sample", "c.yaml")
    made["grid"]["seed"] = [0, 1]
    write()
    assert "train.import_checkpoint: ckpt.pt is missing; fix the path" in ltdm(
        "train", "c.yaml", code=1
    )
    made["grid"]["seed"] = [0]
    write()
    checkpoint(classes=10, legacy=True)
    assert "theirs/seed-0/model.safetensors\n" in ltdm("train", "c.yaml"), (
        "another file is another network"
    )


def test_a_run_of_a_released_network_costs_no_training(checkpoint):
    path, *_ = checkpoint()
    experiment = Experiment(config(path))
    data, run = experiment.datasets["digits-lt"], experiment.runs["digits-lt", "theirs"]
    planned = network_cost(data, run, [])
    assert planned.train_images == planned.train_flops == 0
    assert planned.sample_images == 60
    file = path.with_name("c.yaml")
    file.write_text(yaml.safe_dump(config(path)))
    assert "no run of these is trained" in ltdm("bench", file, code=1)


def test_figures_of_training_leave_out_what_was_not_trained(tmp_path):
    counts = {"class": [0, 1], "name": ["a", "b"], "available": [9, 9], "train": [9, 3]}
    columns = ["dataset", "features", "metric", "sample_set", "group", "run", "value"]
    tables = {
        "counts": pd.DataFrame(counts), "tidy": pd.DataFrame(columns=columns, dtype=str),
        "trained": pd.DataFrame({"update": [1, 2], "denoise": [1.0, 0.5]}),
        "theirs": pd.DataFrame(columns=HISTORY),
    }  # fmt: skip
    files = {name: tmp_path / f"{name}.csv" for name in tables}
    for name, table in tables.items():
        table.to_csv(files[name], index=False)
    images = tmp_path / "images.npz"
    write_npz(images, images=np.zeros((2, 1, 8, 8), np.uint8), labels=np.arange(2))

    def drawn(*runs):
        picture = tmp_path / "training.svg"
        request = {"metric": "frechet", "extractor": "pixels", "sample_set": "main"}
        request |= {"runs": runs, "seeds": [0], "code": "this", "where": {"dataset": "d"}}
        figures.run(
            request,
            counts=files["counts"],
            reference=images,
            tidy=files["tidy"],
            histories=[files[run] for run in runs],
            samples=[images] * len(runs),
            training_svg=picture,
        )
        return picture.read_bytes()

    assert drawn("trained", "theirs") == drawn("trained")
    assert drawn("theirs") != drawn("trained")
