"""Which records already say what a config asks for."""

import json

import pytest

from ltdm.config.experiment import Experiment
from ltdm.config.merge import merge
from ltdm.pipeline import records
from ltdm.plumbing.files import read_json, write_json
from tests.unit.test_config import SMOKE

OVER = {
    "grid": {"run": ["cbdm"], "sample_set": ["wide"]},
    "defaults": {"train": {"posthoc": {"snapshots": 8}}},
    "sample_sets": {"wide": {"sigma_rel": 0.1, "guide": "ddpm"}},
}
RUNS = "runs/digits-lt"


@pytest.fixture
def claimed(tmp_path):
    """The claims of an experiment whose records all say what is asked for."""
    experiment = Experiment(merge([SMOKE, OVER]), tmp_path)
    claims = {claim.record: claim for claim in records.claims(experiment)}
    for record, claim in claims.items():
        own = {"key": str(record), "sha256": {"train.npz": "one"}}
        write_json(record, {**claim.wanted, **own, **records._linked(claim)})
    return claims


def finished(claimed, folder):
    return records.finished(folder / f"smoke/{RUNS}/cbdm/seed-0/wide/samples.json", claimed)


@pytest.mark.parametrize(
    ("file", "key"),
    [
        *[(f"{RUNS}/cbdm/seed-0/wide/samples.json", key)
          for key in ("spec", "code", "seed", "model", "guide")],
        *[(f"{RUNS}/cbdm/seed-0/posthoc/0.1.json", key) for key in ("of", "key", "code")],
        *[(f"{RUNS}/cbdm/seed-0/run.json", key) for key in ("spec", "code", "key", "data")],
        *[(f"{RUNS}/ddpm/seed-0/run.json", key) for key in ("spec", "code", "key")],
        *[("data/digits-lt/data.json", key) for key in ("code", "sha256")],
    ],
)  # fmt: skip
def test_a_sample_set_is_finished_until_one_record_behind_it_differs(claimed, tmp_path, file, key):
    assert finished(claimed, tmp_path)
    record = tmp_path / "smoke" / file
    whole = read_json(record)
    write_json(record, {**whole, key: {"train.npz": "another"}})
    assert not finished(claimed, tmp_path)
    write_json(record, {**whole, "where": ["another machine"]})
    assert finished(claimed, tmp_path)
    record.write_text(json.dumps(whole)[:-9])
    assert not finished(claimed, tmp_path)
    record.unlink()
    assert not finished(claimed, tmp_path)
