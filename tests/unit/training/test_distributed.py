"""Training by several processes: the results of one process, and no process outlives the rest."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from ltdm.config.compatibility import check_training_set
from ltdm.config.runs import RunOptions
from ltdm.core.seeding import derive_seed
from ltdm.networks._predictor import RankShare
from ltdm.plumbing.errors import Interruption, LtdmError, OptionError
from ltdm.plumbing.files import write_npz
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.options import parse
from ltdm.plumbing.stopping import StopRequest
from ltdm.stages import train
from ltdm.training import setup
from ltdm.training.distributed import available_processes, launch
from ltdm.training.options import TrainOptions
from tests.conftest import ROOT
from tests.helpers import processes
from tests.helpers.stages import make_request
from tests.helpers.training import METHODS, SPEC, data

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _tests_on_the_path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A folder with the results of one process and of two, by method."""
    folder = tmp_path_factory.mktemp("processes")
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("LTDM_SAVE_SECONDS", "0")
        patch.setattr(setup, "build_network", processes.build_exact)
        for name in METHODS:
            torch.save(processes.train_method(name), folder / f"one-{name}.pt")
        launch(
            2,
            "tests.helpers.processes",
            {"task": "train_all", "folder": str(folder)},
            StopRequest(),
        )
        yield folder


def weights(states):
    last = states[-1]
    return {f"{kind}.{k}": v for kind in ("net", "ema") for k, v in last[kind].items()}


def distance(states, others):
    """Return the largest difference between two trainings' weights and averages."""
    one, other = weights(states), weights(others)
    return max((one[name] - other[name]).abs().max().item() for name in one)


@pytest.mark.parametrize("name", METHODS)
def test_two_processes_train_the_network_of_one(results, name):
    one, two = torch.load(results / f"one-{name}.pt"), torch.load(results / f"two-{name}.pt")
    assert distance(one["states"], two["whole"]["states"]) < 1e-6
    assert one["evaluations"] == two["whole"]["evaluations"]
    histories = [pd.DataFrame(run["states"][-1]["history"]) for run in (one, two["whole"])]
    pd.testing.assert_frame_equal(*histories, rtol=1e-5)
    resumed = processes.train_method(name, two["whole"]["states"][0])
    assert distance(one["states"], resumed["states"]) < 1e-6


@pytest.mark.parametrize("name", ["composed", "separate"])
def test_two_processes_resume_from_one_or_two(results, name):
    one, two = torch.load(results / f"one-{name}.pt"), torch.load(results / f"two-{name}.pt")
    assert distance(one["states"], two["one"]["states"]) < 1e-6
    assert distance(two["whole"]["states"], two["two"]["states"]) == 0


def test_each_process_has_its_own_dropout_masks(results):
    seeds = [int((results / f"seed-{rank}").read_text()) for rank in (0, 1)]
    assert seeds == [derive_seed("dropout", 0, 0), derive_seed("dropout", 0, 1, 0)]


@pytest.mark.parametrize(
    ("rank", "how", "error", "message"),
    [
        (0, "mistake", LtdmError, "^the disk is full$"),
        (1, "mistake", LtdmError, "^the disk is full$"),
        (1, "killed", LtdmError, "^training process 1 was killed by SIGKILL, .* resumes from"),
        (0, "bug", RuntimeError, "ValueError: a bug"),
    ],
)
def test_a_process_that_ends_ends_all(rank, how, error, message):
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(error, match=message):
        launch(
            2, "tests.helpers.processes", {"task": "fail", "rank": rank, "how": how}, StopRequest()
        )
    assert handlers == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]


def test_a_process_killed_by_the_agent_is_not_the_cause(monkeypatch):
    """Torch's agent kills processes that outlive the first failure by half a minute."""
    failures = {0: ProcessFailure(0, 1, 1, ""), 1: ProcessFailure(1, 2, -signal.SIGKILL, "")}

    def start(*_):
        raise ChildFailedError("a name", failures)

    monkeypatch.setattr("torch.distributed.launcher.api.elastic_launch", lambda *_: start)
    with pytest.raises(LtdmError, match="process 1 was killed by SIGKILL"):
        launch(2, "none", {}, StopRequest())
    failures[1].timestamp += 30
    with pytest.raises(RuntimeError, match=r"exit codes \{0: 1\} and no report"):
        launch(2, "none", {}, StopRequest())


def test_nothing_is_launched_when_time_is_nearly_up():
    with pytest.raises(Interruption, match="time is nearly up"):
        launch(2, "tests.helpers.processes", {}, StopRequest(seconds_left=0.0))


@pytest.mark.parametrize("rows", [1, 2, 7, 8])
def test_the_processes_shares_are_all_rows(rows):
    batch, shares = torch.arange(rows), [RankShare(rank, 3) for rank in range(3)]
    parts = [share.take_rows(batch) for share in shares]
    assert len({len(part) for part in parts}) == 1
    assert torch.stack(parts, 1).flatten()[:rows].equal(batch)
    scattered = torch.stack([share.take_gradient(batch + 1) for share in shares], 1).flatten()
    assert scattered[:rows].equal(batch + 1)
    assert not scattered[rows:].any()


@pytest.mark.parametrize(
    ("options", "class_blocks", "message"),
    [
        (
            {"gpus": 3, "batch_size": 8},
            False,
            "train.gpus: is 3, .* cannot split a batch of 8",
        ),
        ({"gpus": 4, "batch_size": 8}, True, "4 processes cannot split 2 images of each class"),
        ({"gpus": 2, "ensemble": {"epochs": 1}}, False, "one after the other.* leave gpus out"),
    ],
)
def test_a_number_of_processes_that_does_not_divide_is_refused(options, class_blocks, message):
    with pytest.raises(OptionError, match=message):
        check_training_set(parse(RunOptions, options), [30, 20, 20], class_blocks)


def test_the_number_of_gpus_is_no_part_of_a_request():
    assert non_defaults(TrainOptions(gpus=4)) == {}


def test_fewer_gpus_than_requested(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setenv("LTDM_DEVICE", "cuda")
    assert [available_processes(requested) for requested in (1, 2, 4)] == [1, 2, 3]
    images, labels = data()
    write_npz(tmp_path / "train.npz", images=images.transpose(0, 2, 3, 1), labels=labels)
    files = {name: tmp_path / name for name in ("model", "history", "record")}
    request = make_request(SPEC, places={"gpus": 4})
    with pytest.raises(OptionError, match="is 4, of which 3 are available, and 3 processes cannot"):
        train.run(request, data=tmp_path / "train.npz", init=None, **files)
    monkeypatch.setenv("LTDM_DEVICE", "cuda:2")
    assert available_processes(4) == 1
    monkeypatch.setenv("LTDM_DEVICE", "cpu")
    assert available_processes(4) == 4


def wait_until(condition, seconds=120):
    """Wait until a condition holds; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_that_is_killed_and_stopped_resumes(tmp_path):
    """If the launching process is killed, no process trains on; on SIGTERM it saves first."""
    train = {"gpus": 2, "steps": 200, "tensorboard": True, "preview_every": 100}
    overlay = {"grid": {"run": ["ddpm"]}, "defaults": {"train": train}}
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(overlay))
    environment = {**os.environ, "LTDM_DEVICE": "cpu", "LTDM_SAVE_SECONDS": "0"}

    def ltdm(stage):
        command = [sys.executable, "-m", "ltdm", stage]
        command += [str(ROOT / "config/smoke.yaml"), str(tmp_path / "two.yaml")]
        command += ["--results", str(tmp_path)]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    assert ltdm("prepare").wait() == 0
    folder = tmp_path / "smoke/runs/digits-lt/ddpm/seed-0"
    killed = ltdm("train")
    wait_until(lambda: list(folder.glob("state/*/state.pt")))
    (progress,) = folder.glob("state/*/progress.json")
    worker = json.loads(progress.read_text())["pid"]
    children = Path(f"/proc/{killed.pid}/task/{killed.pid}/children").read_text().split()
    workers = [int(child) for child in children]
    assert worker in workers and len(workers) == 2
    killed.kill()
    wait_until(lambda: not any(map(alive, workers)), 20)

    stopped = ltdm("train")
    wait_until(lambda: json.loads(progress.read_text())["pid"] != worker)
    stopped.terminate()
    assert stopped.wait(120) == Interruption.STATUS
    assert "ltdm: stopped at step" in stopped.stderr.read()

    resumed = ltdm("train")
    assert resumed.wait(300) == 0, resumed.stderr.read()
    record = json.loads((folder / "run.json").read_text())
    assert record["where"] == ["2 x cpu, 1 threads, fp32"]
    assert 0 < record["resumed_at"] < 200
    assert record["evaluations_per_image"] == {
        "forward": 1,
        "backward": 1,
        "encoder": 0,
        "decoder": 0,
    }
    assert "gpus" not in record["spec"]["train"]
    rows = pd.read_csv(folder / "history.csv")
    assert rows["step"].tolist() == list(range(10, 201, 10))
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == rows["step"].tolist()
    assert [event.step for event in events.Images("preview")] == [100, 200]
    assert not {"tensorboard", "preview_every"} & record["spec"]["train"].keys()
    assert not (folder / "state").exists()
