"""A sample set made by several jobs: the same bytes, whatever their number."""

import numpy as np
import pytest
import torch

from ltdm.core.shards import rows_of_shard, split_blocks
from ltdm.core.weights import write_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.samplers import _generate
from ltdm.samplers._generate import SampleGenerator
from ltdm.stages import sample
from ltdm.training.setup import Recipe, described, make_trainer
from tests.helpers.stages import ALONE, asked
from tests.unit.training.test_training import CPU, SPEC, data

NUMBERS = (1, 2, 5, 7)
GUIDED = {"num_images": 51, "guidance": 0.7}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Four blocks of 13 of 51 images, two of 9 of each network's 17."""
    monkeypatch.setitem(_generate.BATCH, "cpu", 13)


def network(path, labels=None, images=None, **changes):
    """Write an untrained network, its weights shaken."""
    recipe = Recipe.of({**SPEC, **changes})
    pixels, classes = data()
    learner = make_trainer(recipe, 0, pixels if images is None else images, classes, CPU)
    torch.manual_seed(0)
    for weight in learner.net.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    tensors = {f"ema.{k}": v for k, v in learner.net.state_dict().items()}
    write_weights(path / "model.safetensors", tensors, {**described(recipe, learner), "key": "one"})


def sampled(folder, spec, of=0):
    """Return the bytes of a set and of its record, made by one job or by several."""
    made = {"model": folder / "model.safetensors", "samples": folder / f"{of}.npz",
            "record": folder / f"{of}.json"}  # fmt: skip
    if not of:
        sample.run(asked(spec, 3), **ALONE, **made)
    else:
        parts = [folder / f"{of}.shards/{i + 1}-of-{of}.npz" for i in range(of)]
        for i, part in enumerate(parts):
            request = asked(spec, 3, shard=[i, of])
            sample.shard(request, model=made["model"], guide=None, images=part)
        sample.run(asked(spec, 3), guide=None, shards=parts, **made)
        assert not parts[0].parent.exists(), "they are cleared away"
    return made["samples"].read_bytes(), made["record"].read_bytes()


def points():
    return np.random.default_rng(0).normal(size=(40, 2, 1, 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, {**GUIDED, "sampler": {"name": "ancestral", "steps": 4}}),
        ({}, {**GUIDED, "sampler": {"name": "ddim", "steps": 4, "eta": 0.5}}),
        (
            {"method": {"name": "igd", "mode": "separate"},
             "train": {**SPEC["train"], "batch_size": 9, "label_dropout": 0.0}},
            {"num_images": 51, "sampler": {"name": "ancestral", "steps": 4}},
        ),
        (
            {"images": points(), "method": "ddpm",
             "network": {**SPEC["network"], "ch_mult": [1], "attn": []}},
            {**GUIDED, "sampler": {"name": "ddim", "steps": 2}},
        ),
    ],
    ids=["ancestral", "ddim", "separate", "points"],
)  # fmt: skip
def test_samples_are_the_same_bytes_whatever_the_number_of_jobs(tmp_path, changes, asked):
    network(tmp_path, **changes)
    whole = sampled(tmp_path, asked)
    for of in NUMBERS:
        assert sampled(tmp_path, asked, of) == whole


def test_a_shard_makes_whole_calls_and_each_is_made_once(tmp_path, monkeypatch):
    """So an image shares its call with the same others, which is what a GPU's bits depend on."""
    network(
        tmp_path,
        method={"name": "igd", "mode": "separate"},
        train={**SPEC["train"], "batch_size": 9, "label_dropout": 0.0},
    )
    plain, calls = SampleGenerator.batch, []

    def batch(self, labels, owners, network):
        calls.append((network, *owners))
        return plain(self, labels, owners, network)

    monkeypatch.setattr(SampleGenerator, "batch", batch)
    asked = {"num_images": 51, "sampler": {"name": "ddim", "steps": 1}}
    sampled(tmp_path, asked)
    whole, calls[:] = list(calls), []
    assert len(whole) == 6
    for of in NUMBERS:
        sampled(tmp_path, asked, of)
        assert calls == whole
        calls.clear()


@pytest.mark.parametrize("of", [1, 2, 3, 7, 20])
def test_blocks_are_shared_out_in_order_and_evenly(of):
    cut = split_blocks(np.arange(51), 5)
    shares = [rows_of_shard(cut, (i, of)) for i in range(of)]
    assert np.concatenate(shares).tolist() == list(range(51))
    numbers = [-(-len(rows) // 5) for rows in shares]
    assert max(numbers) - min(numbers) <= 1
    assert all(rows[0] % 5 == 0 for rows in shares if len(rows))


def test_parts_of_another_set_and_missing_ones_are_refused(tmp_path):
    network(tmp_path)
    spec = {**GUIDED, "sampler": {"name": "ddim", "steps": 1}}
    model, parts = tmp_path / "model.safetensors", [tmp_path / f"s/{i}.npz" for i in range(2)]
    files = {"model": model, "samples": tmp_path / "s.npz", "record": tmp_path / "s.json"}
    for i, part in enumerate(parts):
        sample.shard(asked(spec, shard=[i, 2]), model=model, guide=None, images=part)
    with pytest.raises(LtdmError, match=r"s/0.npz was made by another config, network or code"):
        sample.run(asked(spec, 1), guide=None, shards=parts, **files)
    with pytest.raises(LtdmError, match="whole: 26 rows are missing, 25 are there twice"):
        sample.run(asked(spec), guide=None, shards=[parts[1], parts[1]], **files)
    parts[1].write_bytes(parts[1].read_bytes()[:-200])
    with pytest.raises(LtdmError, match=r"1.npz is damaged .*; delete it and run the same"):
        sample.run(asked(spec), guide=None, shards=parts, **files)
    assert not files["samples"].exists()
