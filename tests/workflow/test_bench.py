"""`ltdm bench workflow`: it refuses to measure made-up results that are not finished ones."""

import re
from pathlib import Path

from ltdm.config.merge import read_config
from ltdm.tools import bench_workflow
from ltdm.tools.bench_workflow import Cost, format_table

ROOT = Path(__file__).parents[2]
MEASURED = ("plumbing.request", "stages.manifest", "page.document")


def test_dry_runs_and_starts_are_measured(monkeypatch):
    start = bench_workflow._empty_job

    def start_of(checkout, folder, module):
        return start(checkout, folder, module) if module in MEASURED else Cost(1.0, 1.0, 1.0)

    monkeypatch.setattr(bench_workflow, "_empty_job", start_of)
    monkeypatch.chdir(ROOT)
    result = bench_workflow.run(read_config([ROOT / "config/smoke.yaml"]), [20, 60])
    table = format_table(result)
    row = r"^\| \d+ \| ltdm \| [\d.]+ \| [\d.]+ \| \d+ \|$"
    assert len(re.findall(row, table, re.MULTILINE)) == 2
    assert len(re.findall(r"ms per job, off by at most \d+ %$", table, re.MULTILINE)) == 3
    assert "| manifest | " in table
