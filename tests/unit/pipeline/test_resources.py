"""Estimated resources of jobs, and GPUs that jobs of one machine share."""

import os
import threading
from pathlib import Path

import pytest
import torch
import yaml

from ltdm.config.experiment import Experiment
from ltdm.config.merge import merge
from ltdm.config.site import Site, SubmitOptions, load_site
from ltdm.pipeline import gpu_slots
from ltdm.pipeline.cost import network_cost, sampling_evaluations
from ltdm.pipeline.resources import SAFETY_FACTOR, Estimates
from ltdm.plumbing.errors import LtdmError
from tests.helpers.smoke_config import SMOKE

OVER = {
    "grid": {"run": ["ddpm", "many", "wide"]},
    "runs": {
        "many": {"train": {"steps": 480, "ensemble": {"shards": 2, "rounds": 3}}},
        "wide": {"train": {"gpus": 2}},
    },
}
EXPERIMENT = Experiment(merge([SMOKE, OVER]))


def wildcards(run="ddpm"):
    return {"dataset": "digits-lt", "run": run, "seed": "0", "sample_set": "main"}


def test_training_seconds_are_those_of_its_flops_with_a_safety_factor():
    run = EXPERIMENT.runs["digits-lt", "ddpm"]
    cost = network_cost(EXPERIMENT.datasets["digits-lt"], run, [])
    slow = cost.train_flops / 1e12 / 6000  # at this speed it takes 100 minutes
    estimates = Estimates(EXPERIMENT, Site(tflops=slow), 1)
    assert estimates.training_seconds(wildcards()) == pytest.approx(6000 * SAFETY_FACTOR)
    assert estimates.training_seconds(wildcards("wide")) == pytest.approx(3000 * SAFETY_FACTOR), (
        "two GPUs"
    )
    assert estimates.training_seconds(wildcards("many")) == pytest.approx(72_000 * SAFETY_FACTOR), (
        "all shards"
    )
    assert estimates.training_megabytes(wildcards()) == 48 * cost.parameters / 1e6


def test_shards_share_the_sampling_seconds():
    run = EXPERIMENT.runs["digits-lt", "ddpm"]
    evaluations = sampling_evaluations(run, "main")
    assert evaluations == 60 * 3 * 2
    cost = network_cost(EXPERIMENT.datasets["digits-lt"], run, [])
    site = Site(tflops=cost.flops * evaluations / 1e12 / 6000)
    estimates = Estimates(EXPERIMENT, site, 4)
    assert estimates.sampling_seconds(wildcards()) == pytest.approx(6000 * SAFETY_FACTOR)
    assert estimates.shard_seconds(wildcards()) == pytest.approx(1500 * SAFETY_FACTOR)


def test_jobs_share_no_gpu_on_slurm():
    Site().check_slurm()
    with pytest.raises(LtdmError, match=r"jobs_per_gpu is 4, .* or run `snakemake --profile work"):
        Site(jobs_per_gpu=4).check_slurm()


def test_submit_options_of_a_site(tmp_path):
    file = tmp_path / "site.yaml"
    assert load_site(file) == Site()
    file.write_text(yaml.safe_dump({"account": "lab", "gpu": {"partition": "a100", "qos": "long"}}))
    parsed = load_site(file)
    assert parsed.submit_options(gpu=True) == {
        "slurm_account": "lab",
        "slurm_partition": "a100",
        "qos": "long",
    }
    assert parsed.submit_options(gpu=False) == {"slurm_account": "lab"}
    assert load_site(file).gpu == SubmitOptions(partition="a100", qos="long")
    for wrong, message in (
        ("acount: lab", "site.yaml: acount: unknown key; did you mean 'account'?"),
        ("gpu: {partition: [a]}", r"site.yaml: gpu.partition: must be text"),
        ("max_runtime_minutes: 1", "site.yaml: max_runtime_minutes: must be at least 2"),
        ("account: [", "is not YAML"),
    ):
        file.write_text(wrong)
        with pytest.raises(LtdmError, match=message):
            load_site(file)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with three GPUs, two jobs on each."""
    monkeypatch.setattr(gpu_slots.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setenv(gpu_slots.ENV_VAR, "2")
    for name in ("LTDM_DEVICE", "CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "")  # so that monkeypatch restores it
        monkeypatch.delenv(name)
    return tmp_path


def test_jobs_take_the_least_busy_gpus(machine):
    names = ["0", "1", "2"]
    with gpu_slots.hold_gpus(1, names, 2) as first, gpu_slots.hold_gpus(1, names, 2) as second:
        assert (first, second) == (["0"], ["1"])
        for _ in range(2):  # the first round frees them again
            with gpu_slots.hold_gpus(2, names, 2) as pair:
                assert pair == ["0", "2"], "the idle GPU, and the second slot of another"
    with pytest.raises(LtdmError, match="requests 4 GPUs, but this machine has 3"):
        gpu_slots.hold_gpus(4, names, 2).__enter__()


def test_gpu_takes_no_more_jobs_than_it_has_slots(machine, monkeypatch):
    monkeypatch.setattr(gpu_slots.time, "sleep", lambda _: None)
    jobs = [gpu_slots.hold_gpus(1, ["4", "6"], 3) for _ in range(8)]
    assert [job.__enter__() for job in jobs[:6]] == 3 * [["4"], ["6"]]
    gpus = []
    waiting = threading.Thread(target=lambda: gpus.append(jobs[6].__enter__()))
    waiting.start()
    waiting.join(0.2)
    assert not gpus, "all slots are held"
    jobs[0].__exit__(None, None, None)
    waiting.join(60)
    assert gpus == [["4"]]
    for k in (1, 3, 5, 6):
        jobs[k].__exit__(None, None, None)
    assert jobs[7].__enter__() == ["6"], "it is idle; of the other only the first slot is free"
    for k in (2, 4, 7):
        jobs[k].__exit__(None, None, None)


def test_slurm_jobs_have_their_own_gpus(machine, monkeypatch):
    with gpu_slots.hold_gpus(1, ["0"], 1):
        monkeypatch.setenv("SLURM_JOB_ID", "17")
        with gpu_slots.hold_gpus(1, ["0"], 1) as gpus:
            assert gpus == ["0"], "another GPU of the same name"


def test_job_sees_its_own_gpus_alone(machine, monkeypatch):
    with gpu_slots.hold_gpus(1, ["0"], 2), gpu_slots.assign_gpus(1):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
        assert os.environ["LTDM_DEVICE"] == "cuda"
    monkeypatch.delenv("LTDM_DEVICE")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    with gpu_slots.assign_gpus(2):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,6", "from those that are visible"
    monkeypatch.delenv("LTDM_DEVICE")
    with gpu_slots.assign_gpus(0):
        assert os.environ["LTDM_DEVICE"] == "cpu"
    with gpu_slots.assign_gpus(1):
        assert os.environ["LTDM_DEVICE"] == "cpu", "the user's LTDM_DEVICE stays"


def test_profiles_have_links_in_the_root():
    root = Path(__file__).parents[3]
    for name in ("slurm", "workstation"):
        assert (root / name).is_symlink()
        assert (root / name).resolve() == root / "profiles" / name
        assert yaml.safe_load((root / name / "config.yaml").read_text())
