"""A fixed number of fuzzed cases of every kind: each is taken, or refused in one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_no_case_of_the_cut_is_a_fault(tmp_path):
    command = [sys.executable, "-m", "tests.fuzz", "--cut", "--out", tmp_path]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    assert "configs" in run.stdout and "results" in run.stdout
