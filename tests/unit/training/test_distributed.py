"""Training by several processes: the same as by one, and none outlives the others."""

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
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from ltdm.config.compatibility import check_training_set
from ltdm.config.runs import RunOptions
from ltdm.core.seeding import derive_seed
from ltdm.networks._predictor import Share
from ltdm.plumbing.errors import Interruption, LtdmError, OptionError
from ltdm.plumbing.files import write_npz
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.options import parse
from ltdm.plumbing.stopping import StopRequest
from ltdm.stages import train
from ltdm.training import setup
from ltdm.training.distributed import available, launch
from ltdm.training.options import TrainOptions
from tests.conftest import ROOT
from tests.helpers import processes
from tests.helpers.stages import asked
from tests.unit.training.test_training import METHODS, SPEC, data

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _importing_tests(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What one process makes, by method, and what two make."""
    folder = tmp_path_factory.mktemp("processes")
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("LTDM_SAVE_SECONDS", "0")
        patch.setattr(setup, "build_network", processes.build_exact)
        for name in METHODS:
            torch.save(processes.trained(name), folder / f"one-{name}.pt")
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


def apart(states, others):
    """Return the largest difference of two networks, the averaged one included."""
    one, other = weights(states), weights(others)
    return max((one[name] - other[name]).abs().max().item() for name in one)


@pytest.mark.parametrize("name", METHODS)
def test_two_processes_train_what_one_does(made, name):
    one, two = torch.load(made / f"one-{name}.pt"), torch.load(made / f"two-{name}.pt")
    assert apart(one["states"], two["whole"]["states"]) < 1e-6
    assert one["evaluations"] == two["whole"]["evaluations"]
    rows = [pd.DataFrame(each["states"][-1]["history"]) for each in (one, two["whole"])]
    pd.testing.assert_frame_equal(*rows, rtol=1e-5)
    resumed = processes.trained(name, two["whole"]["states"][0])
    assert apart(one["states"], resumed["states"]) < 1e-6


@pytest.mark.parametrize("name", ["composed", "separate"])
def test_two_processes_go_on_from_any_number(made, name):
    one, two = torch.load(made / f"one-{name}.pt"), torch.load(made / f"two-{name}.pt")
    assert apart(one["states"], two["one"]["states"]) < 1e-6
    assert apart(two["whole"]["states"], two["two"]["states"]) == 0


def test_each_process_has_dropout_of_its_own(made):
    seeds = [int((made / f"seed-{rank}").read_text()) for rank in (0, 1)]
    assert seeds == [derive_seed("dropout", 0, 0), derive_seed("dropout", 0, 1, 0)]


@pytest.mark.parametrize(
    ("rank", "how", "error", "sentence"),
    [
        (0, "mistake", LtdmError, "^the disk is full$"),
        (1, "mistake", LtdmError, "^the disk is full$"),
        (1, "killed", LtdmError, "^process 1 of those .* ended by SIGKILL, .* goes on from"),
        (0, "bug", RuntimeError, "ValueError: a bug"),
    ],
)
def test_one_that_ends_ends_all(rank, how, error, sentence):
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(error, match=sentence):
        launch(
            2, "tests.helpers.processes", {"task": "fail", "rank": rank, "how": how}, StopRequest()
        )
    assert handlers == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]


def test_who_is_ended_for_another_is_not_the_cause(monkeypatch):
    """Torch's agent kills what outlives the first that fails by half a minute."""
    failures = {0: ProcessFailure(0, 1, 1, ""), 1: ProcessFailure(1, 2, -signal.SIGKILL, "")}

    def start(*_):
        raise ChildFailedError("a name", failures)

    monkeypatch.setattr("torch.distributed.launcher.api.elastic_launch", lambda *_: start)
    with pytest.raises(LtdmError, match=r"process 1 of those .* ended by SIGKILL"):
        launch(2, "none", {}, StopRequest())
    failures[1].timestamp += 30
    with pytest.raises(RuntimeError, match=r"ended with \{0: 1\}, and said no more"):
        launch(2, "none", {}, StopRequest())


def test_what_is_to_stop_does_not_begin():
    with pytest.raises(Interruption, match="time is nearly up"):
        launch(2, "tests.helpers.processes", {}, StopRequest(seconds_left=0.0))


@pytest.mark.parametrize("rows", [1, 2, 7, 8])
def test_shares_put_together_are_all_rows(rows):
    every, shares = torch.arange(rows), [Share(rank, 3) for rank in range(3)]
    mine = [share.of(every) for share in shares]
    assert len({len(one) for one in mine}) == 1
    assert torch.stack(mine, 1).flatten()[:rows].equal(every)
    back = torch.stack([share.back(every + 1) for share in shares], 1).flatten()
    assert back[:rows].equal(every + 1)
    assert not back[rows:].any()


@pytest.mark.parametrize(
    ("options", "by_class", "sentence"),
    [
        (
            {"gpus": 3, "batch_size": 8},
            False,
            "train.gpus: is 3, and .* share out a batch of 8 alike",
        ),
        ({"gpus": 4, "batch_size": 8}, True, "4 processes cannot share out 2 images of each class"),
        ({"gpus": 2, "ensemble": {"epochs": 1}}, False, "one after the other.* leave gpus out"),
    ],
)
def test_what_does_not_divide(options, by_class, sentence):
    with pytest.raises(OptionError, match=sentence):
        check_training_set(parse(RunOptions, options), [30, 20, 20], by_class)


def test_their_number_is_no_part_of_what_a_run_is():
    assert non_defaults(TrainOptions(gpus=4)) == {}


def test_fewer_gpus_than_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setenv("LTDM_DEVICE", "cuda")
    assert [available(asked) for asked in (1, 2, 4)] == [1, 2, 3]
    images, labels = data()
    write_npz(tmp_path / "train.npz", images=images.transpose(0, 2, 3, 1), labels=labels)
    files = {name: tmp_path / name for name in ("model", "history", "record")}
    request = asked(SPEC, places={"gpus": 4})
    with pytest.raises(OptionError, match="is 4, of which 3 are here, and 3 processes cannot"):
        train.run(request, data=tmp_path / "train.npz", init=None, **files)
    monkeypatch.setenv("LTDM_DEVICE", "cuda:2")
    assert available(4) == 1
    monkeypatch.setenv("LTDM_DEVICE", "cpu")
    assert available(4) == 4


def until(found, seconds=120):
    """Wait for something."""
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_that_is_killed_and_stopped_goes_on(tmp_path):
    """Nothing trains on when the launching process is killed; told to stop, it saves first."""
    overlay = {"grid": {"run": ["ddpm"]}, "defaults": {"train": {"gpus": 2, "steps": 400}}}
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(overlay))
    environment = {**os.environ, "LTDM_DEVICE": "cpu", "LTDM_SAVE_SECONDS": "0"}

    def ltdm(stage):
        command = [sys.executable, "-m", "ltdm", stage, str(ROOT / "config/smoke.yaml"),
                   str(tmp_path / "two.yaml"), "--results", str(tmp_path)]  # fmt: skip
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    assert ltdm("prepare").wait() == 0
    folder = tmp_path / "smoke/runs/digits-lt/ddpm/seed-0"
    killed = ltdm("train")
    until(lambda: list(folder.glob("state/*/state.pt")))
    (progress,) = folder.glob("state/*/progress.json")
    worker = json.loads(progress.read_text())["pid"]
    children = Path(f"/proc/{killed.pid}/task/{killed.pid}/children").read_text().split()
    workers = [int(child) for child in children]
    assert worker in workers and len(workers) == 2
    killed.kill()
    until(lambda: not any(map(alive, workers)), 20)

    stopped = ltdm("train")
    until(lambda: json.loads(progress.read_text())["pid"] != worker)
    stopped.terminate()
    assert stopped.wait(120) == Interruption.STATUS
    assert "ltdm: stopped at update" in stopped.stderr.read()

    rest = ltdm("train")
    assert rest.wait(300) == 0, rest.stderr.read()
    record = json.loads((folder / "run.json").read_text())
    assert record["where"] == ["2 x cpu, 1 threads, fp32"]
    assert 0 < record["resumed_at"] < 400
    assert record["evaluations_per_image"] == {"forward": 1, "backward": 1, "encoder": 0}
    assert "gpus" not in record["spec"]["train"]
    rows = pd.read_csv(folder / "history.csv")
    assert rows["update"].tolist() == list(range(10, 401, 10))
    assert not (folder / "state").exists()
