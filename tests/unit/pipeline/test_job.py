"""What a rule's script does around its one call."""

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from ltdm.pipeline import snapshot
from ltdm.pipeline.job import job
from ltdm.plumbing.errors import LtdmError, Stopped


@pytest.fixture(autouse=True)
def _log_as_before():
    """A script takes the log for itself; the tests after it have theirs."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A script's `snakemake`, of a run that submits its jobs or does not."""
    for name in ("LTDM_DEVICE", snapshot.ENV_VAR):
        monkeypatch.setenv(name, "")  # so that it is as it was afterwards
        monkeypatch.delenv(name)
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")

    def of(cluster, code="aa", **resources):
        snapshot.save(tmp_path, {"cluster": cluster, "codes": {"train": ["aa"]}})
        return SimpleNamespace(
            log=[str(tmp_path / "log")],
            rule="train",
            params=SimpleNamespace(request={"code": code}),
            resources=resources,
            input={},
            output={"table": "a.csv", "list": ["b", "c"]},
        )

    return of


def ends(snakemake, error):
    """Run a script that raises; return its exit status."""
    with pytest.raises(SystemExit) as end, job(snakemake):
        raise error
    return end.value.code


@pytest.mark.parametrize(
    ("cluster", "for_time", "back"),
    [(True, True, True), (True, False, False), (False, True, False)],
)
def test_a_submitted_job_whose_time_is_up_goes_back_into_the_queue(
    script, tmp_path, capfd, cluster, for_time, back
):
    """One that runs beside Snakemake does not: the job around both is not its own."""
    assert ends(script(cluster), Stopped("stopped at update 3", for_time)) == 75
    assert "ltdm: stopped at update 3 (log: " in capfd.readouterr().err
    assert (tmp_path / "said").exists() == back
    assert not back or (tmp_path / "said").read_text() == "requeue 17\n"


def test_a_mistake_is_one_sentence_and_a_bug_a_traceback_in_the_log(script, tmp_path, capfd):
    assert ends(script(False), LtdmError("train.npz is damaged")) == 1
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert ends(script(False), ZeroDivisionError()) == 1
    assert "a bug, ZeroDivisionError: please report it with" in capfd.readouterr().err
    assert "Traceback" in (tmp_path / "log").read_text()


def test_code_that_changed_meanwhile_is_refused(script, capfd):
    with pytest.raises(SystemExit), job(script(True, code="bb")):
        raise AssertionError("it ran")
    assert "the code of the rule train has changed" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("resources", "device"),
    [({"gpu": 1}, "cuda"), ({"gpu": 0}, "cpu"), ({}, "cpu")],
)
def test_a_submitted_job_uses_what_it_was_given(script, resources, device):
    with job(script(True, **resources)):
        assert os.environ["LTDM_DEVICE"] == device
    os.environ.pop("LTDM_DEVICE")
    with job(script(False, **resources)):
        assert "LTDM_DEVICE" not in os.environ


def test_a_script_has_its_files_by_keyword(script):
    snakemake = script(False)
    snakemake.input = {"model": "model.safetensors", "guide": []}
    with job(snakemake) as files:
        assert files == {
            "model": Path("model.safetensors"),
            "guide": None,
            "table": Path("a.csv"),
            "list": [Path("b"), Path("c")],
        }
