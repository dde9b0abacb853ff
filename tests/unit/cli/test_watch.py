"""`ltdm status --watch`: in a real terminal, of any size, and as a log."""

import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl

import pytest
from click.testing import CliRunner

from ltdm.cli import watch
from ltdm.cli.main import main
from ltdm.pipeline import snapshot
from ltdm.pipeline.status import NetworkStatus
from ltdm.plumbing.files import write_json

REPORT = {
    "what": "training",
    "done": 5,
    "total": 60,
    "units_per_second": 1.0,
    "images_per_second": 16.0,
    "note": "loss 0.1",
    "ended": "",
    "host": "n1",
    "pid": 17,
    "job": None,
}


TITLE = re.escape(f"{watch.HOME}/")
"""The start of a drawing, whose first line is the path of the results."""


@pytest.fixture
def results(tmp_path, monkeypatch):
    """The results of a run of two networks, of which one is in training."""
    monkeypatch.setenv(snapshot.ENV_VAR, "")
    snapshot.save(
        tmp_path / "logs",
        {
            "networks": [["d", "one", 0], ["d", "two", 0]],
            "sets_of_run": {"one": ["main"], "two": ["main"]},
            "metrics": ["frechet"],
        },
    )
    report = {**REPORT, "time": time.time()}
    write_json(tmp_path / "runs/d/one/seed-0/state/key/progress.json", report)
    return tmp_path


def score(results, run):
    """Write the files that a scored network has."""
    network = results / f"runs/d/{run}/seed-0"
    shutil.rmtree(network / "state", ignore_errors=True)
    write_json(network / "run.json", {})
    (network / "main/metrics").mkdir(parents=True)
    for name in ("model.safetensors", "main/samples.npz", "main/metrics/frechet.csv"):
        (network / name).touch()


class Terminal:
    """A pseudo-terminal in which the command runs; it keeps all that the command writes."""

    def __init__(self, results, lines, columns):
        own, self.end = pty.openpty()
        self.own, self.text = own, ""
        self.resize(lines, columns)
        command = [sys.executable, "-m", "ltdm", "status", "--watch", "--every", "0.5"]
        environment = {k: v for k, v in os.environ.items() if k not in ("LINES", "COLUMNS")}
        self.process = subprocess.Popen(
            [*command, str(results)],
            stdin=self.end,
            stdout=self.end,
            stderr=self.end,
            env={**environment, "TERM": "xterm"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.own)
        os.close(self.end)

    def resize(self, lines, columns):
        ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read_until(self, pattern, seconds=60):
        """Read what is written until it has the pattern; return it from there on."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text, re.DOTALL)):
            assert time.monotonic() < end, f"no {pattern} in {self.text!r}"
            if select.select([self.own], [], [], 0.1)[0]:
                self.text += os.read(self.own, 65536).decode()
        self.text = self.text[found.start() :]
        return self.text


def test_in_a_terminal_the_table_is_drawn_in_place_until_all_is_scored(results):
    with Terminal(results, 24, 80) as terminal:
        for columns in (80, 20, 50):
            terminal.resize(24, columns)
            text = terminal.read_until(rf"{TITLE}[^\x1b]{{{columns - 1}}}\x1b\[K.*?\x1b\[J")
            drawing = re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", text.partition(watch.END_SCREEN)[0])
            assert max(map(len, drawing.split("\r\n"))) == columns, "no line wraps"
        score(results, "one")
        score(results, "two")
        text = terminal.read_until(r"\x1b\[\?1049l.*left to train, sample or score\.")
        assert "2 networks: 2 scored." in text, "the table stays below the command"
        assert terminal.process.wait(20) == 0


def test_control_c_gives_the_terminal_back_and_is_no_error(results):
    with Terminal(results, 24, 80) as terminal:
        terminal.read_until("5 of 60")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(20) == 0
        assert terminal.read_until(re.escape(watch.CLOSE_SCREEN)) == watch.CLOSE_SCREEN


def test_a_log_gets_a_line_per_change(results, monkeypatch):
    steps = [lambda: None, lambda: score(results, "one"), lambda: score(results, "two")]
    monkeypatch.setattr(watch.time, "sleep", lambda seconds: steps.pop(0)())
    done = CliRunner().invoke(main, ["status", "--watch", str(results)])
    assert done.exit_code == 0 and not steps
    table, changes = done.output.split("2 networks: 1 training, 1 waiting.\n")
    assert "5 of 60" in table and "\x1b" not in done.output
    lines = [re.sub(r"^[0-9-]{10} [0-9:]{8} ", "", line) for line in changes.splitlines()]
    assert lines == [
        "d/one/0: scored",
        "2 networks: 1 scored, 1 waiting.",
        "d/two/0: scored",
        "2 networks: 2 scored.",
        "No network is left to train, sample or score.",
    ]


def test_a_low_terminal_shows_those_in_training_first():
    states = ["scored"] * 3 + ["waiting"] * 3 + ["failed: it diverged", "training", "round 1 of 2"]
    statuses = [NetworkStatus(("d", f"r{k}", 0), s, {}, True) for k, s in enumerate(states)]
    assert len(watch.frame(statuses, 12)) == 12
    assert not any("more" in line for line in watch.frame(statuses, 12))
    lines = watch.frame(statuses, 8)
    assert len(lines) == 8
    assert [line.split()[1] for line in lines[1:5]] == ["r7", "r8", "r6", "r3"]
    assert lines[5:] == [
        "... 5 more networks: 3 scored, 2 waiting.",
        "",
        "9 networks: 3 scored, 3 waiting, 1 failed, 1 training, 1 round.",
    ]


def test_a_folder_without_networks_is_refused(tmp_path):
    done = CliRunner().invoke(main, ["status", "--watch", str(tmp_path)])
    assert done.exit_code == 1 and "holds no networks" in done.output
