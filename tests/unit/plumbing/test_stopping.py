"""A training that is told to stop, that another process runs, and what others read of it."""

import fcntl
import os
import signal
import time

import pytest
import torch

from ltdm.plumbing import slurm, stopping
from ltdm.plumbing.errors import Interruption, LtdmError
from ltdm.plumbing.files import read_json
from ltdm.plumbing.locks import LockHeld, exclusive
from ltdm.plumbing.stopping import StopRequest, catch_signals
from tests.unit.training.test_training import learner_of, run, same, trainer


def stopped_after(learner, updates, **given):
    """Train until a stop that comes after some updates; return the saved state."""
    saved, stop, plain = [], StopRequest(), learner.step

    def step():
        plain()
        if learner.update == updates:
            stop.signal_reason = "it was sent SIGTERM"

    learner.step = step
    message = rf"stopped at update {updates} of 12, since it was sent SIGTERM; the state is saved"
    with pytest.raises(Interruption, match=message):
        learner.fit(saved.append, stop=stop, **given)
    return saved[-1]


@pytest.mark.parametrize("updates", [1, 5, 6])  # within a row of the history, and at its end
def test_stopped_anywhere_and_resumed_equals_uninterrupted_to_the_bit(updates, tmp_path):
    whole, file = learner_of("composed"), tmp_path / "state.pt"
    run(whole)
    torch.save(stopped_after(learner_of("composed"), updates), file)
    resumed = learner_of("composed")
    resumed.resume(torch.load(file, weights_only=True))
    run(resumed)
    assert same(whole, resumed)
    assert resumed.history == whole.history


def test_a_stop_at_the_last_update_is_none():
    learner, stop = trainer(steps=1), StopRequest()
    stop.signal_reason = "it was sent SIGTERM"
    learner.fit(lambda state: None, stop=stop)
    assert learner.update == 1


def test_a_diverged_state_is_not_saved_by_a_stop():
    learner, saved, stop = trainer(), [], StopRequest(seconds_left=0)
    learner.sums = {"loss": torch.tensor(float("nan")), "grad_norm": torch.tensor(1.0)}
    with pytest.raises(LtdmError, match="training diverged"):
        learner.fit(saved.append, stop=stop)
    assert saved == []


def test_the_time_that_is_left_ends_early_enough_to_save(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now[0])
    stop = StopRequest(seconds_left=600)  # a twentieth of it is kept: 30 s
    assert stop.reason() is None
    now[0] += 569
    assert stop.reason() is None
    assert stop.reason(saving=2) == "the job's time is nearly up"
    now[0] += 1
    assert stop.reason() == "the job's time is nearly up"
    assert StopRequest().reason() is None


def test_signals_are_heard_and_then_left_as_they_were(monkeypatch):
    monkeypatch.delenv("LTDM_TIME_LIMIT_SECONDS", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    with catch_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason() == "it was sent SIGTERM"
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "a second one ends it at once"
    assert signal.getsignal(signal.SIGTERM) is before
    monkeypatch.setenv("LTDM_TIME_LIMIT_SECONDS", "soon")
    with pytest.raises(
        LtdmError, match="_TIME_LIMIT_SECONDS must be a number of seconds, not 'soon'"
    ):
        stopping.time_limit()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("59", 59), ("1:00", 60), ("2:03:04", 7384), ("1-00:00:05", 86405), ("UNLIMITED", None),
     ("INVALID", None), ("", None)],
)  # fmt: skip
def test_slurm_s_spans(text, seconds):
    assert slurm.parse_time_span(text) == seconds


def test_what_slurm_says_is_left(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert slurm.remaining_seconds() is None
    squeue = tmp_path / "squeue"
    squeue.write_text('#!/bin/sh\ntest "$4" = 17 && echo 1-02:00:00\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert slurm.remaining_seconds() == 86400 + 7200
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    assert slurm.remaining_seconds() is None, "it does not answer"


def test_one_writer_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with exclusive(tmp_path / "state"):
        told = f"Slurm job 17, process {os.getpid()} on .* is still writing to"
        with pytest.raises(LockHeld, match=told), exclusive(tmp_path / "state", timeout=0.3):
            pass
    with exclusive(tmp_path / "state", timeout=0):
        pass


def test_a_lock_whose_folder_its_holder_removed_is_taken_anew(tmp_path):
    """Training removes its state with the lock in it; who waits must not hold the removed file."""
    with exclusive(tmp_path / "state"):
        (tmp_path / "state/lock").unlink()
        with exclusive(tmp_path / "state", timeout=0):
            assert (tmp_path / "state/lock").exists()


def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, caplog):
    def none(*arguments):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    with exclusive(tmp_path / "state", timeout=0):
        assert "this file system has no locks" in caplog.text


def test_others_can_read_how_far_a_training_is(tmp_path):
    file = tmp_path / "progress.json"
    stopped_after(learner_of("ddpm"), 5, progress=file)
    told = read_json(file)
    assert (told["done"], told["total"], told["unit"], told["ended"]) == (
        5,
        12,
        "updates",
        "stopped",
    )
    assert told["images_per_second"] == pytest.approx(8 * told["units_per_second"])
    assert told["note"].startswith("loss 0.") or told["note"].startswith("loss 1.")
    assert told["pid"] == os.getpid()
    assert time.time() - told["time"] < 60
    file.unlink()
    file.mkdir()  # a place that cannot be written stops nothing
    learner_of("ddpm").fit(lambda state: None, progress=file)
