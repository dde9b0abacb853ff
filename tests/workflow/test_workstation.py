"""Trainings that share a GPU, with the CPU in its place."""

CONFIG = """
inherits: smoke.yaml
grid: {run: [ddpm], seed: [1, 2, 3, 4]}
"""
STAND_IN = '''
    import os
    import time

    import torch

    def began():
        return open("began").read().splitlines()

    def wait(number):
        """Wait for so many trainings to have begun, this one with them."""
        deadline = time.monotonic() + 100
        while len(began()) < number:
            assert time.monotonic() < deadline, f"{began()} alone have begun"
            time.sleep(0.05)

    seed, card = snakemake.wildcards.seed, os.environ["CUDA_VISIBLE_DEVICES"]
    with open("began", "a") as file:
        print(seed, os.environ["LTDM_DEVICE"], card, os.environ["LTDM_COMPILED"], file=file)
    wait(3)
    if began()[0].split()[0] == seed:
        os.kill(os.getpid(), 9)
    wait(4)
    train.single.pick = lambda: torch.device("cpu")
'''


def test_three_trainings_share_a_gpu_and_one_that_is_killed_makes_room(checkout, monkeypatch):
    (checkout.folder / "config/shared.yaml").write_text(CONFIG)
    (checkout.folder / "site.yaml").write_text("jobs_per_gpu: 3\n")
    script = checkout.folder / "workflow/scripts/train.py"
    head, body = script.read_text().split("with job(snakemake) as files:\n")
    script.write_text(f"{head}with job(snakemake) as files:\n{STAND_IN}{body}")
    checkout.configs = ["config/shared.yaml"]
    own = {"TMPDIR": str(checkout.folder), "CUDA_VISIBLE_DEVICES": "5"}
    kept = {k: v for k, v in checkout.environment().items() if k != "LTDM_DEVICE"}
    monkeypatch.setattr(checkout, "environment", lambda: {**kept, **own})
    runs = {n: checkout.results / f"runs/digits-lt/ddpm/seed-{n}" for n in "1234"}
    asked = [str((run / "model.safetensors").relative_to(checkout.folder)) for run in runs.values()]

    printed = checkout.snakemake(
        "--profile", "profiles/workstation", "--cores", "4", *asked, ok=False
    )
    lines = [line.split() for line in (checkout.folder / "began").read_text().splitlines()]
    seeds, *where = zip(*lines, strict=True)
    assert [set(one) for one in where] == [{"cuda"}, {"5"}, {str(checkout.results / ".compiled")}]
    started = printed.partition("Error in rule train")[0].count("rule train:\n")
    assert (started, len(lines)) == (3, 4), "the fourth had to wait"
    assert {n for n, run in runs.items() if (run / "model.safetensors").exists()} == {*seeds[1:]}
