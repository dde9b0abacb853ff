"""The comparison of docs/fidelity.md runs, and notices what differs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/fidelity.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
TOLERANCE = {"images": 1e-12, "loss": 1e-12, "weights": 1e-3}


def differences(text, capsys):
    """Run the example; return the differences that it prints, by name."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(compile(text, "docs/fidelity.md", "exec"), {})
    rows = (line.split() for line in capsys.readouterr().out.splitlines())
    return {name: abs(float(value)) for name, value in rows}


def test_the_example_finds_no_difference(capsys):
    found = differences(EXAMPLE, capsys)
    assert found.keys() == TOLERANCE.keys()
    assert all(found[name] < limit for name, limit in TOLERANCE.items()), found


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("[980, 490, 0], ddim", "[980, 480, 0], ddim", {"images"}),
        ("_replace(labels=labels2)", "_replace(labels=labels)", {"loss", "weights"}),
        ("(F.detach() - F2) ** 2 / 4", "(F.detach() - F2) ** 2 / 3", {"loss", "weights"}),
        (
            "Adam(theirs.parameters(), lr=train.lr)",
            "Adam(theirs.parameters(), lr=2.1e-4)",
            {"weights"},
        ),
    ],
)
def test_the_example_notices_what_differs(old, new, names, capsys):
    assert EXAMPLE.count(old) == 1
    found = differences(EXAMPLE.replace(old, new), capsys)
    assert {name for name, limit in TOLERANCE.items() if found[name] > 10 * limit} == names


def test_the_example_is_short_and_passes_ruff():
    assert len([line for line in EXAMPLE.splitlines() if line]) <= 40
    for check in (["check", "--ignore", "D100"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--stdin-filename", "example.py", "-"]
        done = subprocess.run(command, cwd=ROOT, input=EXAMPLE, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
