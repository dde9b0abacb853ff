"""The frame of a workflow script around its one call."""

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from ltdm.pipeline import snapshot
from ltdm.pipeline.job import job
from ltdm.plumbing.code_digest import sources_digest
from ltdm.plumbing.errors import Interruption, LtdmError
from tests.helpers.smoke_config import SMOKE


@pytest.fixture(autouse=True)
def _restore_logging():
    """A script configures the root logger; restore it for other tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Make a script's `snakemake` object, for a run that submits its jobs or does not."""
    for name in ("LTDM_DEVICE", snapshot.ENV_VAR):
        monkeypatch.setenv(name, "")  # so that monkeypatch restores it
        monkeypatch.delenv(name)
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")

    def make(cluster, sources=None, **resources):
        begun = {"config": SMOKE, "sources": sources or sources_digest()}
        snapshot.save(tmp_path, {"cluster": cluster, **begun})
        return SimpleNamespace(
            log=[str(tmp_path / "log")],
            rule="train",
            params=SimpleNamespace(request={"code": "aa"}),
            wildcards={"dataset": "digits-lt", "run": "ddpm", "seed": "0"},
            resources=resources,
            input={},
            output={"table": "a.csv", "list": ["b", "c"]},
        )

    return make


def exit_status(snakemake, error):
    """Run a script that raises an error; return its exit status."""
    with pytest.raises(SystemExit) as end, job(snakemake):
        raise error
    return end.value.code


@pytest.mark.parametrize(
    ("cluster", "for_time", "requeued"),
    [(True, True, True), (True, False, False), (False, True, False)],
)
def test_submitted_job_is_requeued_at_its_time_limit(
    script, tmp_path, capfd, cluster, for_time, requeued
):
    """A job beside Snakemake is not: the Slurm job around both is not its own."""
    assert exit_status(script(cluster), Interruption("stopped at step 3", for_time)) == 75
    assert "ltdm: stopped at step 3 (log: " in capfd.readouterr().err
    assert (tmp_path / "arguments").exists() == requeued
    assert not requeued or (tmp_path / "arguments").read_text() == "requeue 17\n"


def test_user_error_is_one_sentence_and_bug_a_traceback_in_the_log(script, tmp_path, capfd):
    assert exit_status(script(False), LtdmError("train.npz is damaged")) == 1
    assert (tmp_path / "log").read_text() == "ltdm: train.npz is damaged\n"
    assert exit_status(script(False), ZeroDivisionError()) == 1
    assert "a bug in ltdm, ZeroDivisionError: please report it with" in capfd.readouterr().err
    *_, summary = (log := (tmp_path / "log").read_text()).splitlines()
    assert "Traceback" in log
    assert summary.startswith("ltdm: a bug in ltdm, ZeroDivisionError")


@pytest.mark.parametrize("log", ["/dev/full", "missing/log"])
def test_log_that_cannot_be_written_is_one_sentence(script, capfd, log):
    snakemake = script(False)
    snakemake.log = [log]
    assert exit_status(snakemake, LtdmError("train.npz is damaged")) == 1
    printed = capfd.readouterr().err
    assert f"ltdm: cannot write {log}: " in printed
    assert "Traceback" not in printed


def test_changed_code_is_refused(script, capfd):
    with pytest.raises(SystemExit), job(script(True, sources="others")):
        raise AssertionError("it ran")
    assert "the code of the rule train has changed" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("resources", "device"),
    [({"gpu": 1}, "cuda"), ({"gpu": 0}, "cpu"), ({}, "cpu")],
)
def test_submitted_job_uses_its_device(script, resources, device):
    with job(script(True, **resources)):
        assert os.environ["LTDM_DEVICE"] == device
    os.environ.pop("LTDM_DEVICE")
    with job(script(False, **resources)):
        assert "LTDM_DEVICE" not in os.environ


def test_script_gets_files_by_keyword(script):
    snakemake = script(False)
    snakemake.input = {"model": "model.safetensors", "guide": []}
    with job(snakemake) as files:
        assert files == {
            "model": Path("model.safetensors"),
            "guide": None,
            "table": Path("a.csv"),
            "list": [Path("b"), Path("c")],
        }
