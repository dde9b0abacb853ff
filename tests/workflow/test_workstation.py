"""Trainings that share a GPU, simulated on the CPU."""

CONFIG = """
inherits: smoke.yaml
grid: {run: [ddpm], seed: [1, 2, 3, 4]}
"""
STAND_IN = '''
import os
import time

import torch

from ltdm.pipeline.job import job
from ltdm.stages import train


def started_jobs():
    return open("started_jobs").read().splitlines()

def wait(number):
    """Wait until so many trainings have started, this one included."""
    deadline = time.monotonic() + 100
    while len(started_jobs()) < number:
        assert time.monotonic() < deadline, f"{started_jobs()} alone have begun"
        time.sleep(0.05)


with job(snakemake) as files:
    seed, card = snakemake.wildcards.seed, os.environ["CUDA_VISIBLE_DEVICES"]
    with open("started_jobs", "a") as file:
        print(seed, os.environ["LTDM_DEVICE"], card, os.environ["LTDM_COMPILED"], file=file)
    wait(3)
    if started_jobs()[0].split()[0] == seed:
        os.kill(os.getpid(), 9)
    wait(4)
    train.single.pick_device = lambda: torch.device("cpu")
    train.run(snakemake.params.request, **files)
'''


def test_three_trainings_share_a_gpu_and_one_that_is_killed_makes_room(checkout, monkeypatch):
    (checkout.folder / "config/shared.yaml").write_text(CONFIG)
    (checkout.folder / "site.yaml").write_text("jobs_per_gpu: 3\n")
    script = checkout.folder / "workflow/scripts/train.py"
    script.write_text(STAND_IN)
    checkout.configs = ["config/shared.yaml"]
    own = {"TMPDIR": str(checkout.folder), "CUDA_VISIBLE_DEVICES": "5"}
    kept = {k: v for k, v in checkout.environment().items() if k != "LTDM_DEVICE"}
    monkeypatch.setattr(checkout, "environment", lambda: {**kept, **own})
    runs = {n: checkout.results / f"runs/digits-lt/ddpm/seed-{n}" for n in "1234"}
    models = [
        str((run / "model.safetensors").relative_to(checkout.folder)) for run in runs.values()
    ]

    printed = checkout.snakemake(
        "--profile", "profiles/workstation", "--cores", "4", *models, ok=False
    )
    lines = [line.split() for line in (checkout.folder / "started_jobs").read_text().splitlines()]
    seeds, *columns = zip(*lines, strict=True)
    assert [set(values) for values in columns] == [
        {"cuda"},
        {"5"},
        {str(checkout.results / ".compiled")},
    ]
    started = printed.partition("Error in rule train")[0].count("rule train:\n")
    head, last = printed.splitlines()[-2:]
    assert head.startswith("ltdm: 1 job failed")
    assert last.startswith(f"ltdm: train digits-lt/ddpm/{seeds[0]} failed: it was killed by SIG")
    assert (started, len(lines)) == (3, 4), "the fourth training waits"
    assert {n for n, run in runs.items() if (run / "model.safetensors").exists()} == {*seeds[1:]}
