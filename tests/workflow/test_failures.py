"""The last lines of a failed run, from the events of Snakemake; other tests run Snakemake."""

import logging
import os
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.logging import LogEvent

from ltdm.pipeline import snapshot

RULES = Path(__file__).parents[2] / "rules/failures.smk"


def member(rule, **wildcards):
    """Make a job of Snakemake."""
    job = SimpleNamespace(rule=SimpleNamespace(name=rule), wildcards=wildcards, attempt=2, jobid=3)
    job.is_group = lambda: False
    return job


class Group(list):
    """A group of jobs of Snakemake."""

    groupid, attempt = "g1", 2

    def is_group(self):
        return True


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Make a run, whose `scheduler.failed` are the failed jobs, and its handler of events."""
    monkeypatch.setenv(snapshot.ENV_VAR, "")  # so that monkeypatch restores it
    snapshot.save(tmp_path, {"cluster": True})
    workflow = SimpleNamespace(scheduler=SimpleNamespace(failed=[]))
    own = {"os": os, "sys": sys, "snapshot": snapshot, "workflow": workflow, "root": "results"}
    handler = runpy.run_path(str(RULES), own)["FailureLog"]()

    def send(event, **values):
        handler.handle(logging.makeLogRecord({"event": event, "indent": False, **values}))

    return SimpleNamespace(scheduler=workflow.scheduler, send=send, close=handler.close)


def test_job_on_slurm_and_one_that_only_failed_at_first(run, tmp_path, capfd):
    run.scheduler.failed = [member("train", seed="0")]
    for job, text in ((3, "ltdm: a.npz is damaged\n"), (4, "")):
        log, slurm_log = tmp_path / f"{job}.log", tmp_path / f"slurm-{job}.log"
        log.write_text(text)
        os.utime(log, (4e9, 4e9))  # written after the run began
        slurm_log.write_text("")
        names = {"jobid": job, "rule_name": "train", "log": [str(log), str(slurm_log)]}
        run.send(LogEvent.JOB_ERROR, rule_msg="SLURM status is: 'TIMEOUT'", **names)
    printed = capfd.readouterr().err.splitlines()
    assert [line[:25] for line in printed] == [
        "ltdm: a.npz is damaged; l",
        "ltdm: it reached its time",
    ]
    run.close()
    head, last = capfd.readouterr().err.splitlines()
    assert head.startswith("ltdm: 1 job failed; ")
    assert last == f"ltdm: train 0 failed after 2 attempts: a.npz is damaged; log: {tmp_path}/3.log"
    run.close()
    assert not capfd.readouterr().err


def test_group_of_jobs_is_one_failure(run, tmp_path, capfd):
    slurm_log = tmp_path / "9.log"
    slurm_log.write_text("ltdm: a.npz is damaged (log: logs/metrics/7.log)\nError in rule\n")
    members = [{"rule_name": "metrics"}] * 2
    run.send(LogEvent.GROUP_ERROR, groupid="g1", aux_logs=[str(slurm_log)], job_error_info=members)
    for job in (5, 6):
        run.send(LogEvent.JOB_ERROR, indent=True, jobid=job, rule_name="metrics", log=["x.log"])
    run.scheduler.failed = [Group([member("metrics"), member("metrics")])]
    said = "ltdm: a.npz is damaged (log: logs/metrics/7.log)\n"
    assert capfd.readouterr().err == said, "once, not per member"
    run.close()
    assert capfd.readouterr().err.splitlines()[1:] == [
        "ltdm: a group of metrics failed after 2 attempts: a.npz is damaged"
        " (log: logs/metrics/7.log)"
    ]


def test_without_a_failed_job_nothing_is_printed(run, tmp_path, capfd):
    """After Ctrl-C, interrupted jobs send errors, but Snakemake does not count them as failed."""
    run.send(LogEvent.ERROR, msg="Command 'x' died with <Signals.SIGINT: 2>.")
    run.send(LogEvent.JOB_ERROR, rule_msg=None, jobid=0, rule_name="train", log=["x.log"])
    run.close()
    assert not capfd.readouterr().err
