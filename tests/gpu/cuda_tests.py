"""ltdm's unit tests that need a GPU."""

from importlib.util import find_spec
from typing import Any

import pytest

from tests.gpu.setting import FOLDER, Setting

FILE = FOLDER.parent / "unit/training/test_cuda.py"


class Outcomes:
    """Adds a row for each test's outcome."""

    def __init__(self, setting: Setting):
        self.setting = setting

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add a test's outcome once it is known."""
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.rpartition("::")[2]
            needs = self.setting.needs if report.skipped else {}
            error = {"error": str(report.longrepr)[-300:]} if report.failed else {}
            self.setting.rows.add(name, outcome=report.outcome, **needs, **error)


def run(setting: Setting) -> None:
    """Run the tests, without those whose package is not installed."""
    options = ["-q", "-p", "no:cacheprovider", "--timeout", "60", str(FILE)]
    if not find_spec("pytorch_fid"):
        setting.rows.add("tests of Inception", needs="pytorch-fid")
        options += ["-k", "not inception"]
    status = pytest.main(options, plugins=[Outcomes(setting)])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        setting.rows.add("pytest", error=f"ended with {status!r}")
