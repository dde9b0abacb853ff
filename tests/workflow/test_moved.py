"""Results that were moved, lost their times, or are of another config: their records decide."""

import os
import time

import pytest

from tests.workflow.test_reruns import END, FIX, SCORE


def test_fresh_clone_reruns_nothing(checkout):
    checkout.forget()
    time.sleep(0.01)
    for part in ("Snakefile", "rules", "workflow", "config", "ltdm"):
        for file in [checkout.folder / part, *(checkout.folder / part).rglob("*")]:
            os.utime(file)
    assert checkout.planned() == {}


def test_copy_without_times_is_used_after_touch(checkout):
    checkout.forget()
    for file in checkout.results.rglob("*.*"):
        age = 0 if "data" in file.parts else 100  # inputs are newer
        os.utime(file, (time.time() - age, time.time() - age))
    assert checkout.planned() != {}
    checkout.snakemake("--touch", "--forceall", "--cores", "1")
    assert checkout.planned() == {}
    checkout.edit("config/smoke.yaml", "method: cbdm", "method: {name: cbdm, tau: 0.5}")
    assert checkout.planned() == {"train": 1, **SCORE, **END}


@pytest.mark.parametrize(
    ("file", "old", "new", "where", "message"),
    [
        (
            "config/smoke.yaml",
            "method: cbdm",
            "method: {name: cbdm, tau: 0.5}",
            "cbdm/seed-0/run.json",
            "spec.method.tau was unset, now 0.5",
        ),
        (
            "config/smoke.yaml",
            "imbalance: 0.1",
            "imbalance: 0.2",
            "digits-lt/data.json",
            "longtail.imbalance was 0.1, now 0.2",
        ),
        (
            "config/smoke.yaml",
            "guidance: 0.5",
            "guidance: 0.7",
            "seed-0/main/samples.json",
            "spec.guidance was 0.5, now 0.7",
        ),
        (
            "config/smoke.yaml",
            "precision-recall,",
            "{name: precision-recall, k: 5},",
            "metrics/precision-recall.json",
            "metric.k was unset, now 5",
        ),
        (
            "config/smoke.yaml",
            "metrics: [frechet",
            "groups: [all, thirds]\n  metrics: [frechet",
            "metrics/frechet.json",
            'groups.kinds was ["all", "class", "thirds", "worst"], now',
        ),
        (
            "config/smoke.yaml",
            "frechet@tail, precision]",
            "frechet@head]",
            "tables/tables.json",
            'columns was ["frechet", "frechet@tail", "precision"], now ["frechet", "frechet@head"]',
        ),
        (
            "ltdm/metrics/frechet.py",
            "    return n >= 10 * d\n",
            "    return n >= 9 * d\n",
            "metrics/frechet.json",
            "code was ",
        ),
        (
            "config/smoke.yaml",
            "width: 8",
            "width: 16",
            "extractors/classifier.json",
            "extractor.width was 8, now 16",
        ),
        ("ltdm/methods/cbdm.py", *FIX, "cbdm/seed-0/run.json", "code was "),
    ],
)
def test_results_of_another_config_are_refused(checkout, file, old, new, where, message):
    checkout.forget()
    checkout.edit(file, old, new)
    printed = checkout.snakemake("--cores", "1", ok=False)
    (sentence,) = [line for line in printed.splitlines() if line.startswith("ltdm: ")]
    assert "made by another config or other code: results/smoke/" in sentence
    assert f"{where} (" in sentence
    assert message in sentence
    assert "delete these files" in sentence
    assert "Traceback" not in printed


def test_edited_records_are_refused(checkout):
    run = "runs/digits-lt/cbdm/seed-0/run.json"
    checkout.rewrite(run, spec={"method": {"name": "ddpm"}})
    printed = checkout.snakemake("--cores", "1", ok=False)
    assert 'spec.method.name was "ddpm", now "cbdm"' in printed
    checkout.edit("config/smoke.yaml", "method: cbdm", "method: {name: cbdm, tau: 0.5}")
    assert checkout.planned() == {"train": 1, **SCORE, **END}, "its job will run again"
    checkout.edit("config/smoke.yaml", "method: {name: cbdm, tau: 0.5}", "method: cbdm")
    (checkout.results / run).unlink()
    assert checkout.planned() == {"train": 1, **SCORE, **END}, "deleting it is the way out"


@pytest.mark.parametrize("has_notes", [True, False])
def test_results_of_ltdm_0_1_are_refused_and_left_as_they_are(checkout, has_notes):
    """By Snakemake's notes the network would be trained again, over the old files."""
    checkout.rewrite("runs/digits-lt/cbdm/seed-0/run.json", code="233517d3d0643b31")
    checkout.edit("config/smoke.yaml", "method: cbdm", "method: {name: cbdm, tau: 0.5}")
    if not has_notes:
        checkout.forget()
    files = {f: f.read_bytes() for f in checkout.results.rglob("*") if f.is_file()}
    for arguments in (("--dry-run",), ("--cores", "1")):
        printed = checkout.snakemake(*arguments, ok=False)
        (sentence,) = [line for line in printed.splitlines() if line.startswith("ltdm: ")]
        assert "holds results made by ltdm 0.1 (runs/digits-lt/cbdm/seed-0/run.json)" in sentence
        assert "give the experiment another name, or delete the folder" in sentence
        assert "Traceback" not in printed
    assert {f: f.read_bytes() for f in checkout.results.rglob("*") if f.is_file()} == files


def test_links_between_records_are_checked_without_snakemakes_notes(checkout):
    checkout.forget()
    checkout.rewrite("runs/digits-lt/cbdm/seed-0/main/samples.json", model="another")
    checkout.rewrite("runs/digits-lt/ddpm/seed-0/run.json", seed=1, data="other")
    printed = checkout.snakemake("--cores", "1", ok=False)
    assert 'samples.json (model was "another", now' in printed
    assert "run.json (seed was 1, now 0, data was" in printed and '"other", now' in printed
