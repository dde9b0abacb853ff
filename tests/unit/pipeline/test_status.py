"""Snapshots of runs, and the status of networks, from files alone."""

import json
import os
import shutil
import time

import pytest

from ltdm.pipeline import snapshot, status
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import write_json
from ltdm.plumbing.progress import Progress

PROGRESS = {
    "what": "training",
    "done": 1200,
    "total": 6000,
    "unit": "steps",
    "units_per_second": 4.0,
    "images_per_second": 256.0,
    "note": "loss 0.0312",
    "ended": "",
    "host": "n1",
    "pid": 17,
    "job": "42",
}


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv(snapshot.ENV_VAR, "")  # so that monkeypatch restores it
    run_snapshot = {
        "config": {"experiment": "x"},
        "codes": {"train": ["aa"]},
        "site": {},
        "networks": [["d", f"r{k}", 0] for k in range(7)],
        "sets_of_run": {f"r{k}": ["main"] for k in range(7)},
        "metrics": ["frechet"],
    }
    snapshot.save(tmp_path / "logs", run_snapshot)
    return tmp_path


def write_progress(results, run, key="k", **progress):
    file = results / f"runs/d/{run}/seed-0/state/{key}/progress.json"
    write_json(file, {**PROGRESS, "time": time.time(), **progress})


def test_state_of_each_network(results):
    write_progress(results, "r0")
    write_progress(results, "r0", "older", time=time.time() - 9e5, done=1)
    write_progress(results, "r1", ended="stopped")
    write_progress(results, "r2", time=time.time() - 3600)
    write_progress(results, "r3", ended="failed: training diverged before step 40", job=None)
    network = results / "runs/d/r4/seed-0"
    write_json(network / "run.json", {})
    (network / "model.safetensors").touch()
    assert {s.network[1]: s.state for s in status.network_statuses(results)} == {
        "r0": "training",
        "r1": "stopped",
        "r2": "silent for 1 h 0 min",
        "r3": "failed: training diverged before step 40",
        "r4": "trained",
        "r5": "waiting",
        "r6": "waiting",
    }
    text = status.format_status(results)
    assert "1,200 of 6,000" in text
    row = next(line for line in text.splitlines() if " r0 " in line)
    assert all(part in row for part in ("256", "20 min 0 s", "loss 0.0312", "42", "n1, process 17"))
    assert "None" not in text, "without Slurm there is no job"
    assert text.endswith(
        "7 networks: 2 waiting, 1 training, 1 stopped, 1 silent, 1 failed, 1 trained."
    )
    (network / "main/metrics").mkdir(parents=True)
    (network / "main/samples.npz").touch()
    assert " sampled" in status.format_status(results)
    (network / "main/metrics/frechet.csv").touch()
    assert " scored" in status.format_status(results)


def test_ensemble_shows_the_shard_that_reported_last(results):
    for k in range(2):
        file = results / f"runs/d/r0/seed-0/state/round-1-shard-{k}/k/progress.json"
        what = f"round 1 of 2, shard {k + 1} of 2"
        write_json(file, {**PROGRESS, "time": time.time() + k, "what": what})
    states = [line.state for line in status.network_statuses(results) if line.network[1] == "r0"]
    assert states == ["round 1 of 2, shard 2 of 2"]


def test_a_report_that_vanishes_is_no_error(results, monkeypatch):
    """The training ends between the search for its report and its reading."""
    write_progress(results, "r0")
    find = status._find

    def find_and_remove(folder, pattern):
        files = find(folder, pattern)
        if pattern.endswith("progress.json"):
            shutil.rmtree(folder, ignore_errors=True)
        return files

    monkeypatch.setattr(status, "_find", find_and_remove)
    assert {s.state for s in status.network_statuses(results)} == {"waiting"}
    network = results / "runs/d/r0/seed-0"

    def finish_and_find(folder, pattern):
        if folder == network / "state":
            write_json(network / "run.json", {})
            (network / "model.safetensors").touch()
        return find_and_remove(folder, pattern)

    write_progress(results, "r0")
    monkeypatch.setattr(status, "_find", finish_and_find)
    states = {s.network[1]: s.state for s in status.network_statuses(results)}
    assert states["r0"] == "trained", "a training that ends meanwhile is not shown as waiting"
    monkeypatch.setattr(status, "_find", find)
    (network / "state/k").mkdir(parents=True)
    (network / "state/k/progress.json").write_text("{")
    with pytest.raises(LtdmError, match="damaged"):
        status.network_statuses(results)


def test_what_the_last_run_has_yet_to_do(results):
    """Networks of earlier runs are due only while they train."""
    for run in ("r0", "r1", "old", "old-in-training"):
        (results / f"runs/d/{run}/seed-0/main/metrics").mkdir(parents=True)
    write_progress(results, "old-in-training")
    for run in ("r0", "r1"):
        write_json(results / f"runs/d/{run}/seed-0/run.json", {})
        (results / f"runs/d/{run}/seed-0/model.safetensors").touch()
    (results / "runs/d/r0/seed-0/main/samples.npz").touch()
    (results / "runs/d/r0/seed-0/main/metrics/frechet.csv").touch()
    due = {s.network[1] for s in status.network_statuses(results) if s.is_due}
    assert due == {*(f"r{k}" for k in range(1, 7)), "old-in-training"}
    due = {s.network[1] for s in status.network_statuses(alone(results)) if s.is_due}
    assert due == {"old", "old-in-training"}, "without a snapshot, training is all there is to do"


def test_networks_outside_the_run_are_shown_too(tmp_path):
    (tmp_path / "runs/d/by-hand/seed-3").mkdir(parents=True)
    assert [line.network for line in status.network_statuses(tmp_path)] == [("d", "by-hand", 3)]
    with pytest.raises(LtdmError, match="holds no networks; name a folder such as results/demo"):
        status.format_status(tmp_path / "none")


def test_jobs_read_the_snapshot_of_their_run(results):
    assert snapshot.load()["config"] == {"experiment": "x"}
    os.environ.pop(snapshot.ENV_VAR)
    assert snapshot.load() is None


def test_newest_snapshot(results):
    (first,) = (results / "logs").glob("run-*.json")
    other = results / "logs/run-0000.json"
    other.write_text(json.dumps({"networks": []}))
    os.utime(other, (1, 1))
    assert snapshot.newest(results / "logs") == json.loads(first.read_text())
    os.utime(other)
    os.utime(first, (1, 1))
    assert snapshot.newest(results / "logs") == {"networks": []}


def test_a_training_that_died_early_has_reported_its_steps(results, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    file = results / "runs/d/r0/seed-0/state/ab/progress.json"
    with Progress("training", 60, "steps", file=file) as progress:
        for _ in range(6):
            clock[0] += 1.0
            progress.advance()
        left = file.read_text()  # by a process that is killed now
    file.write_text(left)
    assert "4 of 60" in status.format_status(results) or "5 of 60" in status.format_status(results)
    assert "1 network: 1" in status.format_status(alone(results))


def alone(results):
    """Leave a single network in the results."""
    for file in (results / "logs").iterdir():
        file.unlink()
    return results
