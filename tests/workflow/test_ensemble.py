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
    asked = str((many / "model.safetensors").relative_to(checkout.folder))
    names = ("model.safetensors", "history.csv")

    checkout.snakemake("--cores", "1", asked)
    alone = [(many / name).read_bytes() for name in names]
    for file in (*names, "run.json"):
        (many / file).unlink()
    checkout.kill("runs/digits-lt/many/seed-0/state/*/*/state.pt", "--cores", "1", asked)
    checkout.snakemake("--cores", "1", asked)
    log = checkout.results / "logs/train/digits-lt/many/seed-0.log"
    assert "resuming at step" in log.read_text()

    assert [(many / name).read_bytes() for name in names] == alone
    assert not (many / "state").exists(), "shards' states are as large as the run: cleared away"
    assert checkout.planned(asked) == {}, "and nothing misses them"
