"""The lines that end a run of the workflow which failed."""

import os

import pytest

from ltdm.pipeline.failures import MAX_LINES, Failure, explain, summarize


def failures(rule, number, sentence, attempts=1):
    """Return failures of a rule in `number` seeds; `{}` in the sentence is the seed."""
    names = ({"run": "cbdm", "seed": str(seed)} for seed in range(number))
    return [
        Failure(rule, own, attempts, sentence.format(own["seed"]), [f"{rule}-{own['seed']}.log"])
        for own in names
    ]


def test_jobs_that_say_the_same_share_a_line():
    lines = summarize(
        [
            *failures("train", 300, "a/train.npz is damaged; delete it", attempts=4),
            *failures("sample", 1, "no GPU is free"),
            *failures("features", 7, "cannot write a/seed-{}/x.npz: no space"),
            *failures("metrics", 2, "stopped at step {}7 of 3,000, since it was sent SIGTERM"),
        ],
        "logs",
    )
    assert lines == [
        "ltdm: 310 jobs failed; fix the cause and run the same command, which keeps finished"
        " results",
        "ltdm: 300 jobs of rule train failed after 4 attempts: a/train.npz is damaged; delete it;"
        " first log: train-0.log",
        "ltdm: 7 jobs of rule features failed: cannot write a/seed-{seed}/x.npz: no space; first"
        " log: features-0.log",
        "ltdm: 2 jobs of rule metrics failed: stopped at step N of N, since it was sent SIGTERM;"
        " first log: metrics-0.log",
        "ltdm: sample cbdm/0 failed: no GPU is free; log: sample-0.log",
    ]


def test_many_sentences_are_shortened_and_none_prints_nothing():
    assert summarize([], "logs") == []
    different = [Failure(f"rule{i}", {}, 1, "it failed", []) for i in range(MAX_LINES + 90)]
    *_, last = lines = summarize([*different, *failures("train", 2, "damaged")], "a/logs")
    assert len(lines) == MAX_LINES + 2
    assert "2 jobs of rule train" in lines[1], "those of most jobs come first"
    assert last.startswith("ltdm: 91 more failed, of rule rule17, rule18, rule19 and ")
    assert last.endswith("a/logs")


@pytest.mark.parametrize(
    ("message", "cluster_text", "expected"),
    [
        ("SLURM status is: 'OUT_OF_MEMORY'", "", "--set-resources train:mem_mb="),
        ("", "slurmstepd: error: Detected 1 oom_kill event in StepId=9.0", "more memory"),
        ("", "*** JOB 9 ON n1 CANCELLED AT 2026 DUE TO TIME LIMIT ***", "its time limit"),
        ("SLURM status is: 'NODE_FAIL'", "", "its node failed"),
        ("SLURM status is: 'CANCELLED'", "", "cancelled; run the same command again"),
        ("sbatch failed. The message was 'sbatch: no such\npartition'.", "", "such partition"),
        ("", "OSError: [Errno 28] No space left on device", "no space is left on the disk"),
        ("", "ModuleNotFoundError: No module named 'ltdm'", "cannot import 'ltdm'"),
        ("Command 'x' died with <Signals.SIGKILL: 9>.", "", "was killed by SIGKILL"),
        ("", "ltdm: cannot write a.log: full", "cannot write a.log: full"),
        ("SLURM status is: 'FAILED'", "Segmentation fault", "see Slurm's log"),
    ],
)
def test_job_without_a_sentence(tmp_path, message, cluster_text, expected):
    log, cluster_log = str(tmp_path / "a.log"), tmp_path / "9.log"
    cluster_log.write_text(f"Building DAG of jobs...\n{cluster_text}\n")
    sentence, logs = explain("train", log, 0.0, str(cluster_log), message)
    assert expected in sentence
    assert "\n" not in sentence
    assert (str(cluster_log) in logs) == ("ltdm: " not in cluster_text)


def test_sentence_is_the_last_of_this_attempt(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"step 3\xff\nltdm: stopped at step 3\nltdm: a.npz is damaged\n")
    written = log.stat().st_mtime
    assert explain("train", str(log)) == ("a.npz is damaged", [str(log)])
    sentence, logs = explain("train", str(log), since=written)
    assert "ended before its log began; see Snakemake's lines above" in sentence
    assert logs == []
    log.write_text("step 3\n")
    os.utime(log, (written + 1, written + 1))
    sentence, logs = explain("train", str(log), since=written)
    assert "ended without a message" in sentence
    assert logs == [str(log)]
