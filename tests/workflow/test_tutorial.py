"""The commands of docs/tutorial.md, in their order, as a user runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.workflow.conftest import ROOT, forks

BLOCK = re.compile(r"^```(bash|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETUP = ["make setup", "source .venv/bin/activate"]


def test_the_tutorial(checkout):
    """`make setup` is skipped: it has set up these tests."""
    page = (ROOT / "docs/tutorial.md").read_text()
    config, printed, first = checkout.folder / "config/mine.yaml", [], True
    for kind, text in BLOCK.findall(page):
        if kind == "yaml":
            config.write_text((config.read_text() if config.exists() else "") + text)
            continue
        if first:
            assert text.splitlines() == SETUP
            first = False
            continue
        path = f"{forks().programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-ec", text],
            cwd=checkout.folder,
            capture_output=True,
            text=True,
            env={**checkout.environment(), "PATH": path, "PYTHONPATH": str(checkout.folder)},
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        printed.append(done.stdout + done.stderr)
    again = next(p for p in printed if "dry-run" in p)
    due = re.findall(r"^(\w+) +\d+$", again.partition("Job stats:")[2], re.MULTILINE)
    assert "sample" in due
    assert "train" not in due
    results = checkout.folder / "results/mine"
    assert (results / "runs/digits-lt/balanced/seed-0/main/sample_sheet.png").exists()
    assert (results / "tables/main.tex").exists()
