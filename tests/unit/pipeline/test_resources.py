"""What jobs ask a cluster for, and how jobs of one machine share its GPUs."""

import os
import threading
from pathlib import Path

import pytest
import yaml

from ltdm.config.experiment import Experiment
from ltdm.config.merge import merge
from ltdm.config.site import Site, Words, site
from ltdm.pipeline import gpu_slots
from ltdm.pipeline.cost import network_cost, sampling_evaluations
from ltdm.pipeline.resources import SAFETY_FACTOR, Estimates
from ltdm.plumbing.errors import LtdmError
from tests.unit.config.test_config import SMOKE

OVER = {
    "grid": {"run": ["ddpm", "many", "wide"]},
    "runs": {
        "many": {"train": {"steps": 480, "ensemble": {"shards": 2, "rounds": 3}}},
        "wide": {"train": {"gpus": 2}},
    },
}
EXPERIMENT = Experiment(merge([SMOKE, OVER]))


def job(run="ddpm"):
    return {"dataset": "digits-lt", "run": run, "seed": "0", "sample_set": "main"}


def test_training_is_estimated_at_twice_the_time_that_its_operations_take():
    made = EXPERIMENT.runs["digits-lt", "ddpm"]
    one = network_cost(EXPERIMENT.datasets["digits-lt"], made, [])
    slow = one.train_flops / 1e12 / 6000  # at this speed it takes 100 minutes
    estimates = Estimates(EXPERIMENT, Site(tflops=slow), 1)
    assert estimates.training_seconds(job()) == pytest.approx(6000 * SAFETY_FACTOR)
    assert estimates.training_seconds(job("wide")) == pytest.approx(3000 * SAFETY_FACTOR), (
        "two GPUs"
    )
    assert estimates.training_seconds(job("many")) == pytest.approx(72_000 * SAFETY_FACTOR), (
        "all shards"
    )
    assert estimates.training_megabytes(job()) == 48 * one.parameters / 1e6


def test_sampling_is_estimated_by_its_share():
    made = EXPERIMENT.runs["digits-lt", "ddpm"]
    evaluations = sampling_evaluations(made.samples["main"])
    assert evaluations == 60 * 3 * 2
    one = network_cost(EXPERIMENT.datasets["digits-lt"], made, [])
    site = Site(tflops=one.flops * evaluations / 1e12 / 6000)
    estimates = Estimates(EXPERIMENT, site, 4)
    assert estimates.sampling_seconds(job()) == pytest.approx(6000 * SAFETY_FACTOR)
    assert estimates.shard_seconds(job()) == pytest.approx(1500 * SAFETY_FACTOR)


def test_trainings_share_no_gpu_on_slurm():
    Site().check_slurm()
    with pytest.raises(LtdmError, match=r"jobs_per_gpu is 4, .* or run `snakemake --profile work"):
        Site(jobs_per_gpu=4).check_slurm()


def test_the_words_of_a_site(tmp_path):
    file = tmp_path / "site.yaml"
    assert site(file) == Site()
    file.write_text(yaml.safe_dump({"account": "lab", "gpu": {"partition": "a100", "qos": "long"}}))
    own = site(file)
    assert own.words(gpu=True) == {"slurm_account": "lab", "slurm_partition": "a100", "qos": "long"}
    assert own.words(gpu=False) == {"slurm_account": "lab"}
    assert site(file).gpu == Words(partition="a100", qos="long")
    for wrong, message in (
        ("acount: lab", "site.yaml: acount: unknown key; did you mean 'account'?"),
        ("gpu: {partition: [a]}", r"site.yaml: gpu.partition: must be text"),
        ("max_runtime_minutes: 1", "site.yaml: max_runtime_minutes: must be at least 2"),
        ("account: [", "is not YAML"),
    ):
        file.write_text(wrong)
        with pytest.raises(LtdmError, match=message):
            site(file)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine that shows three GPUs and takes two jobs on each."""
    monkeypatch.setattr(gpu_slots.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(gpu_slots.torch.cuda, "device_count", lambda: 3)
    monkeypatch.setenv(gpu_slots.ENV_VAR, "2")
    for name in ("LTDM_DEVICE", "CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "")  # so that both are as they were afterwards
        monkeypatch.delenv(name)
    return tmp_path


def test_jobs_take_the_least_busy_gpus(machine):
    names = ["0", "1", "2"]
    with gpu_slots.hold_gpus(1, names, 2) as one, gpu_slots.hold_gpus(1, names, 2) as two:
        assert (one, two) == (["0"], ["1"])
        for _ in range(2):  # freed by the job that ended
            with gpu_slots.hold_gpus(2, names, 2) as pair:
                assert pair == ["0", "2"], "the free one, and a second place on another"
    with pytest.raises(LtdmError, match="requests 4 GPUs, but this machine has 3"):
        gpu_slots.hold_gpus(4, names, 2).__enter__()


def test_a_gpu_takes_no_more_jobs_than_it_has_places(machine, monkeypatch):
    monkeypatch.setattr(gpu_slots.time, "sleep", lambda _: None)
    jobs = [gpu_slots.hold_gpus(1, ["4", "6"], 3) for _ in range(8)]
    assert [job.__enter__() for job in jobs[:6]] == 3 * [["4"], ["6"]]
    found = []
    waiting = threading.Thread(target=lambda: found.append(jobs[6].__enter__()))
    waiting.start()
    waiting.join(0.2)
    assert not found, "all places are taken"
    jobs[0].__exit__(None, None, None)
    waiting.join(60)
    assert found == [["4"]]
    for k in (1, 3, 5, 6):
        jobs[k].__exit__(None, None, None)
    assert jobs[7].__enter__() == ["6"], "which is idle, though the other's first place is free"
    for k in (2, 4, 7):
        jobs[k].__exit__(None, None, None)


def test_jobs_of_slurm_have_gpus_of_their_own(machine, monkeypatch):
    with gpu_slots.hold_gpus(1, ["0"], 1):
        monkeypatch.setenv("SLURM_JOB_ID", "17")
        with gpu_slots.hold_gpus(1, ["0"], 1) as one:
            assert one == ["0"], "of the same name, and yet another one"


def test_a_job_sees_its_own_gpus_alone(machine, monkeypatch):
    with gpu_slots.hold_gpus(1, ["0"], 2), gpu_slots.assign_gpus(1):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
        assert os.environ["LTDM_DEVICE"] == "cuda"
    monkeypatch.delenv("LTDM_DEVICE")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    with gpu_slots.assign_gpus(2):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,6", "of those that the machine lends"
    monkeypatch.delenv("LTDM_DEVICE")
    with gpu_slots.assign_gpus(0):
        assert os.environ["LTDM_DEVICE"] == "cpu"
    with gpu_slots.assign_gpus(1):
        assert os.environ["LTDM_DEVICE"] == "cpu", "what the user says holds"


def test_profiles_are_found_from_the_root():
    root = Path(__file__).parents[3]
    for name in ("slurm", "workstation"):
        assert (root / name).is_symlink()
        assert (root / name).resolve() == root / "profiles" / name
        assert yaml.safe_load((root / name / "config.yaml").read_text())
