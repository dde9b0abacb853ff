"""Ensemble training whose rounds are jobs of their own."""

CONFIG = """
inherits: smoke.yaml
grid: {run: [ddpm, cbdm, one, many]}
runs:
  one: {method: agc, train: {updates: 240, ensemble: {shards: 2, rounds: 2}}}
  many: {method: agc, train: {updates: 240, ensemble: {shards: 2, rounds: 2, parallel: true}}}
"""


def test_rounds_as_jobs_survive_a_kill_and_equal_one_job(checkout):
    (checkout.folder / "config/ensemble.yaml").write_text(CONFIG)
    checkout.configs = ["config/ensemble.yaml"]
    one, many = (checkout.results / f"runs/digits-lt/{run}/seed-0" for run in ("one", "many"))
    asked = [str((run / "model.safetensors").relative_to(checkout.folder)) for run in (one, many)]

    checkout.kill("runs/digits-lt/many/seed-0/state/*/*/state.pt", "--cores", "2", asked[1])
    checkout.snakemake("--cores", "2", *asked)
    logs = (checkout.results / "logs/train_shard/digits-lt/many/seed-0/1").glob("*.log")
    assert any("resuming at update" in log.read_text() for log in logs)

    for name in ("model.safetensors", "history.csv"):
        assert (one / name).read_bytes() == (many / name).read_bytes()
    assert not (many / "rounds").exists(), "shards' states are as large as the run: cleared away"
    assert not (many / "state").exists()
    assert checkout.planned(*asked) == {}, "and nothing misses them"
    checkout.edit("config/ensemble.yaml", "  one:", "  another:")
    checkout.edit("config/ensemble.yaml", "  many:", "  one:")
    checkout.edit("config/ensemble.yaml", "  another:", "  many:")
    assert checkout.planned(*asked) == {}, "either is finished the other way too"
