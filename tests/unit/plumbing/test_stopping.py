"""Stopping and resuming training, Slurm's time limit, locks, and the status file."""

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
from tests.helpers.training import learner_of, run, same, trainer


def stopped_after(learner, steps, **options):
    """Train until a signal comes after some steps; return the saved state."""
    saved, stop, original_step = [], StopRequest(), learner.step

    def step():
        original_step()
        if learner.step_count == steps:
            stop.signal_reason = "it was sent SIGTERM"

    learner.step = step
    message = rf"stopped at step {steps} of 12, since it was sent SIGTERM; the state is saved"
    with pytest.raises(Interruption, match=message):
        learner.fit(saved.append, stop=stop, **options)
    return saved[-1]


@pytest.mark.parametrize("steps", [1, 5, 6])  # within a row of the history, and at its end
def test_a_resumed_training_equals_an_uninterrupted_one_to_the_bit(steps, tmp_path):
    uninterrupted, file = learner_of("composed"), tmp_path / "state.pt"
    run(uninterrupted)
    torch.save(stopped_after(learner_of("composed"), steps), file)
    resumed = learner_of("composed")
    resumed.resume(torch.load(file, weights_only=True))
    run(resumed)
    assert same(uninterrupted, resumed)
    assert resumed.history == uninterrupted.history


def test_a_stop_at_the_last_step_is_ignored():
    learner, stop = trainer(steps=1), StopRequest()
    stop.signal_reason = "it was sent SIGTERM"
    learner.fit(lambda state: None, stop=stop)
    assert learner.step_count == 1


def test_a_stop_does_not_save_a_diverged_state():
    learner, saved, stop = trainer(), [], StopRequest(seconds_left=0)
    learner.loss_sums = {"loss": torch.tensor(float("nan")), "grad_norm": torch.tensor(1.0)}
    with pytest.raises(LtdmError, match="training diverged"):
        learner.fit(saved.append, stop=stop)
    assert saved == []


def test_the_clock_stops_a_job_early_enough_to_save(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now[0])
    stop = StopRequest(seconds_left=600)  # one twentieth is kept to end in: 30 s
    assert stop.reason() is None
    now[0] += 569
    assert stop.reason() is None
    assert stop.reason(saving=2) == "the job's time is nearly up"
    now[0] += 1
    assert stop.reason() == "the job's time is nearly up"
    assert StopRequest().reason() is None


def test_signals_are_caught_and_their_handlers_restored(monkeypatch):
    monkeypatch.delenv("LTDM_TIME_LIMIT_SECONDS", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    with catch_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason() == "it was sent SIGTERM"
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "a second one ends the process"
    assert signal.getsignal(signal.SIGTERM) is before
    monkeypatch.setenv("LTDM_TIME_LIMIT_SECONDS", "soon")
    with pytest.raises(
        LtdmError, match="_TIME_LIMIT_SECONDS must be a number of seconds from 0, not 'soon'"
    ):
        stopping.time_limit()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("59", 59),
        ("1:00", 60),
        ("2:03:04", 7384),
        ("1-00:00:05", 86405),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("", None),
    ],
)
def test_slurm_s_time_spans_are_parsed(text, seconds):
    assert slurm.parse_time_span(text) == seconds


def test_the_remaining_seconds_of_a_slurm_job(tmp_path, monkeypatch):
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


def test_one_process_at_a_time_writes_to_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with exclusive(tmp_path / "state"):
        message = f"Slurm job 17, process {os.getpid()} on .* is still writing to"
        with pytest.raises(LockHeld, match=message), exclusive(tmp_path / "state", timeout=0.3):
            pass
    with exclusive(tmp_path / "state", timeout=0):
        pass


def test_a_lock_whose_file_was_removed_is_created_again(tmp_path):
    """Training removes its state with the lock; a waiting process must not lock the old file."""
    with exclusive(tmp_path / "state"):
        (tmp_path / "state/lock").unlink()
        with exclusive(tmp_path / "state", timeout=0):
            assert (tmp_path / "state/lock").exists()


def test_a_file_system_without_locks_gives_a_warning(tmp_path, monkeypatch, caplog):
    def no_locks(*arguments):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with exclusive(tmp_path / "state", timeout=0):
        assert "this file system has no locks" in caplog.text


def test_the_status_file_reports_the_progress_of_training(tmp_path):
    file = tmp_path / "progress.json"
    stopped_after(learner_of("ddpm"), 5, progress_file=file)
    status = read_json(file)
    assert (status["done"], status["total"], status["unit"], status["ended"]) == (
        5,
        12,
        "steps",
        "stopped",
    )
    assert status["images_per_second"] == pytest.approx(8 * status["units_per_second"])
    assert status["note"].startswith("loss 0.") or status["note"].startswith("loss 1.")
    assert status["pid"] == os.getpid()
    assert time.time() - status["time"] < 60
    file.unlink()
    file.mkdir()  # an error in writing the status does not stop training
    learner_of("ddpm").fit(lambda state: None, progress_file=file)
