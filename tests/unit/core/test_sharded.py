"""A sample set made by several jobs has the same bytes for any number of jobs."""

import numpy as np
import pytest
import torch

from ltdm.core.shards import rows_of_shard, split_blocks
from ltdm.core.weights import write_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.samplers import _generate
from ltdm.samplers._generate import SampleGenerator
from ltdm.stages import sample
from ltdm.training.setup import Recipe, make_trainer, model_metadata
from tests.helpers.stages import PLAIN_SAMPLING, make_request
from tests.helpers.training import CPU, SPEC, data

NUMBERS = (1, 2, 5, 7)
GUIDED = {"num_images": 51, "guidance": 0.7}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """51 images make four blocks of 13; the 17 of each of three networks make two of 9."""
    monkeypatch.setitem(_generate.MAX_BATCH, "cpu", 13)


def network(path, labels=None, images=None, **changes):
    """Write an untrained network with noise added to its weights."""
    recipe = Recipe.from_spec({**SPEC, **changes})
    pixels, classes = data()
    learner = make_trainer(recipe, 0, pixels if images is None else images, classes, CPU)
    torch.manual_seed(0)
    for weight in learner.net.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    tensors = {f"ema.{k}": v for k, v in learner.net.state_dict().items()}
    write_weights(
        path / "model.safetensors", tensors, {**model_metadata(recipe, learner), "key": "one"}
    )


def sampled(folder, spec, jobs=0):
    """Return the bytes of a set and its record, made without shards or by so many shard jobs."""
    files = {
        "model": folder / "model.safetensors",
        "samples": folder / f"{jobs}.npz",
        "record": folder / f"{jobs}.json",
    }
    if not jobs:
        sample.run(make_request(spec, 3), **PLAIN_SAMPLING, **files)
    else:
        shards = [folder / f"{jobs}.shards/{i + 1}-of-{jobs}.npz" for i in range(jobs)]
        for i, shard in enumerate(shards):
            request = make_request(spec, 3, shard=[i, jobs])
            sample.run_shard(request, model=files["model"], guide=None, images=shard)
        sample.run(make_request(spec, 3), guide=None, shards=shards, **files)
        assert not shards[0].parent.exists(), "finished shards are removed"
    return files["samples"].read_bytes(), files["record"].read_bytes()


def points():
    return np.random.default_rng(0).normal(size=(40, 2, 1, 1)).astype(np.float32)


SEPARATE = {
    "method": {"name": "igd", "mode": "separate"},
    "train": {**SPEC["train"], "batch_size": 9, "label_dropout": 0.0},
}
POINTS = {
    "images": points(),
    "method": "ddpm",
    "network": {**SPEC["network"], "ch_mult": [1], "attn": []},
}


@pytest.mark.parametrize(
    ("changes", "spec", "sampler"),
    [
        ({}, GUIDED, {"name": "ancestral", "steps": 4}),
        ({}, GUIDED, {"name": "ddim", "steps": 4, "eta": 0.5}),
        ({}, GUIDED, {"name": "timeshift", "steps": 4, "window": 300, "extrapolate": 0.1}),
        (SEPARATE, {"num_images": 51}, {"name": "ancestral", "steps": 4}),
        (POINTS, GUIDED, {"name": "ddim", "steps": 2}),
    ],
    ids=["ancestral", "ddim", "timeshift", "separate", "points"],
)
def test_samples_have_the_same_bytes_for_any_number_of_jobs(tmp_path, changes, spec, sampler):
    network(tmp_path, **changes)
    spec = {**spec, "sampler": sampler}
    unsharded = sampled(tmp_path, spec)
    for jobs in NUMBERS:
        assert sampled(tmp_path, spec, jobs) == unsharded


def test_shards_call_the_network_on_the_same_blocks(tmp_path, monkeypatch):
    """On a GPU an image's bits depend on the other images of its call."""
    network(tmp_path, **SEPARATE)
    plain, calls = SampleGenerator.generate_batch, []

    def batch(self, labels, owners, network):
        calls.append((network, *owners))
        return plain(self, labels, owners, network)

    monkeypatch.setattr(SampleGenerator, "generate_batch", batch)
    spec = {"num_images": 51, "sampler": {"name": "ddim", "steps": 1}}
    sampled(tmp_path, spec)
    unsharded, calls[:] = list(calls), []
    assert len(unsharded) == 6
    for jobs in NUMBERS:
        sampled(tmp_path, spec, jobs)
        assert calls == unsharded
        calls.clear()


@pytest.mark.parametrize("total", [1, 2, 3, 7, 20])
def test_shards_get_whole_blocks_in_order_and_evenly(total):
    row_blocks = split_blocks(np.arange(51), 5)
    shards = [rows_of_shard(row_blocks, (i, total)) for i in range(total)]
    assert np.concatenate(shards).tolist() == list(range(51))
    numbers = [-(-len(rows) // 5) for rows in shards]
    assert max(numbers) - min(numbers) <= 1
    assert all(rows[0] % 5 == 0 for rows in shards if len(rows))


def test_shards_of_another_set_and_missing_ones_are_refused(tmp_path):
    network(tmp_path)
    spec = {**GUIDED, "sampler": {"name": "ddim", "steps": 1}}
    model, shards = tmp_path / "model.safetensors", [tmp_path / f"s/{i}.npz" for i in range(2)]
    files = {"model": model, "samples": tmp_path / "s.npz", "record": tmp_path / "s.json"}
    for i, shard in enumerate(shards):
        sample.run_shard(make_request(spec, shard=[i, 2]), model=model, guide=None, images=shard)
    with pytest.raises(LtdmError, match=r"s/0.npz was made by another config, network or code"):
        sample.run(make_request(spec, 1), guide=None, shards=shards, **files)
    with pytest.raises(LtdmError, match="incomplete: 26 rows are missing and 25 are"):
        sample.run(make_request(spec), guide=None, shards=[shards[1], shards[1]], **files)
    shards[1].write_bytes(shards[1].read_bytes()[:-200])
    with pytest.raises(LtdmError, match=r"1.npz is damaged.*; delete it and run the same"):
        sample.run(make_request(spec), guide=None, shards=shards, **files)
    assert not files["samples"].exists()
