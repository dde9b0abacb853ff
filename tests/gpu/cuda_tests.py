"""ltdm's own tests of what only a GPU can show."""

from importlib.util import find_spec
from typing import Any

import pytest

from tests.gpu.setting import FOLDER, Setting

FILE = FOLDER.parent / "unit/training/test_cuda.py"


class Outcomes:
    """Keeps what becomes of each test."""

    def __init__(self, setting: Setting):
        self.setting = setting

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep a test's outcome, once it is known."""
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.rpartition("::")[2]
            needs = self.setting.needs if report.skipped else {}
            error = {"error": str(report.longrepr)[-300:]} if report.failed else {}
            self.setting.rows.add(name, outcome=report.outcome, **needs, **error)


def run(setting: Setting) -> None:
    """Run them; what needs a package that is not here is left out."""
    options = ["-q", "-p", "no:cacheprovider", "--timeout", "60", str(FILE)]
    if not find_spec("pytorch_fid"):
        setting.rows.add("tests of Inception", needs="pytorch-fid")
        options += ["-k", "not inception"]
    status = pytest.main(options, plugins=[Outcomes(setting)])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        setting.rows.add("pytest", error=f"ended with {status!r}")
