"""The variables of the environment are checked before the first job, in one place."""

import re
from pathlib import Path

import pytest

from ltdm.plumbing import environment
from ltdm.plumbing.environment import SAVE_SECONDS, TIME_LIMIT, check_environment, seconds
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.renamed import VARIABLES
from tests.unit.cli.test_cli import SMOKE, ltdm

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LTDM_DEVICE", "gpu", "no device is called 'gpu'; set LTDM_DEVICE"),
        ("LTDM_DEVICE", "cuda:", "no device is called 'cuda:'"),
        ("LTDM_DEVICE", "mps", "no device is called 'mps'"),
        ("LTDM_SAVE_SECONDS", "abc", "LTDM_SAVE_SECONDS must be a number of seconds"),
        ("LTDM_SAVE_SECONDS", "-1", "LTDM_SAVE_SECONDS must be a number of seconds from 0"),
        ("LTDM_TIME_LIMIT_SECONDS", "nan", "LTDM_TIME_LIMIT_SECONDS must be a number"),
        ("LTDM_DEVISE", "cpu", "LTDM_DEVISE is not known; did you mean 'LTDM_DEVICE'?"),
        ("LTDM_SECONDS", "5", "LTDM_SECONDS is called LTDM_TIME_LIMIT_SECONDS now"),
    ],
)
def test_a_bad_variable_is_refused_by_every_command(name, value, words, monkeypatch, tmp_path):
    monkeypatch.setenv(name, value)
    for command in ("check", "plan", "prepare"):
        printed = ltdm(command, SMOKE, "--results", tmp_path, code=1)
        assert words in printed and printed.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_bad_device_option_is_refused(monkeypatch):
    monkeypatch.setenv("LTDM_DEVICE", "cpu")
    assert "no device is called 'gpu'" in ltdm("check", SMOKE, "--device", "gpu", code=1)
    monkeypatch.setenv("LTDM_DEVICE", "cpu")
    assert "no device is called 'gpu'" in ltdm("bench", "scores", "--device", "gpu", code=1)


def test_good_and_empty_values(monkeypatch):
    monkeypatch.setenv(SAVE_SECONDS, "")
    monkeypatch.setenv(TIME_LIMIT, "0.5")
    monkeypatch.setenv("LTDM_DEVICE", "")
    check_environment()
    assert (seconds(SAVE_SECONDS), seconds(TIME_LIMIT)) == (None, 0.5)
    assert environment.device() == "auto"
    monkeypatch.setenv("LTDM_DEVICE", "cuda:3")
    assert environment.device() == "cuda:3"
    with pytest.raises(LtdmError):
        environment.device("cuda:x")


def test_every_variable_of_the_code_is_known():
    files = [*(ROOT / "ltdm").rglob("*.py"), *(ROOT / "tests/gpu").rglob("*.py")]
    texts = [file.read_text() for file in files]
    used = {name for text in texts for name in re.findall(r"\bLTDM_[A-Z0-9_]+\b", text)}
    known = {environment.DEVICE, SAVE_SECONDS, TIME_LIMIT, *environment.OTHERS}
    assert used - known - {*VARIABLES} - {"LTDM_"} == set()
