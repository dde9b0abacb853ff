"""Ensemble training in the workflow."""

CONFIG = """
inherits: smoke.yaml
grid: {run: [ddpm, cbdm, many]}
runs:
  many: {method: agc, train: {steps: 240, ensemble: {shards: 2, rounds: 2}}}
"""


def test_rounds_survive_a_kill(checkout):
    (checkout.folder / "config/ensemble.yaml").write_text(CONFIG)
    checkout.configs = ["config/ensemble.yaml"]
    many = checkout.results / "runs/digits-lt/many/seed-0"
    target = str((many / "model.safetensors").relative_to(checkout.folder))
    names = ("model.safetensors", "history.csv")

    checkout.snakemake("--cores", "1", target)
    undisturbed = [(many / name).read_bytes() for name in names]
    for file in (*names, "run.json"):
        (many / file).unlink()
    checkout.kill("runs/digits-lt/many/seed-0/state/*/*/state.pt", "--cores", "1", target)
    checkout.snakemake("--cores", "1", target)
    log = checkout.results / "logs/train/digits-lt/many/seed-0.log"
    assert "resuming at step" in log.read_text()

    assert [(many / name).read_bytes() for name in names] == undisturbed
    assert not (many / "state").exists(), "states of shards, as large as the model, are deleted"
    assert checkout.planned(target) == {}, "no job needs them"
