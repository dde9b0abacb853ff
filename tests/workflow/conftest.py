"""A checkout in which the smoke config has run; each test works on a copy of it."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

from tests.workflow.forking import Forks

ROOT = Path(__file__).parents[2]
MODULE_LOG = Path(__file__).parent / "module_log"
PARTS = ("Snakefile", "rules", "workflow", "profiles", "config", "ltdm")


@cache
def forks() -> Forks:
    """Return the server of this process."""
    return Forks()


class Checkout:
    """A copy of the project, in which Snakemake runs as for a user."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.config = folder / "config/smoke.yaml"
        self.configs = ["config/smoke.yaml"]
        self.results = folder / "results/smoke"
        self.python = forks().python  # by which jobs start
        self.log: Path | None = None  # of the heavy modules that each job loads

    def forget(self) -> None:
        """Delete Snakemake's notes, as if the results were in a fresh clone."""
        shutil.rmtree(self.folder / ".snakemake")

    def copy_to(self, folder: Path) -> "Checkout":
        """Copy with modification times and Snakemake's notes."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Checkout(folder)

    def arguments(self, *arguments: str) -> list[str]:
        return ["--configfile", *self.configs, *arguments]

    def environment(self) -> dict[str, str]:
        own = {"LTDM_DEVICE": "cpu"}
        if self.log:
            own |= {"MODULE_LOG": str(self.log), "PYTHONPATH": str(MODULE_LOG)}
        return {**os.environ, **own}

    def snakemake(self, *arguments: str, ok: bool = True) -> str:
        """Run Snakemake to its end; return its output, and check whether it succeeded."""
        return self.run("snakemake", *self.arguments(*arguments), ok=ok)

    def run(self, module: str, *arguments: str, ok: bool = True) -> str:
        """Run a module to its end; return its output, and check whether it succeeded."""
        status, printed = forks().run(
            *("-m", module, *arguments),
            folder=str(self.folder),
            environment=self.environment(),
            python=self.python,
        )
        assert (status == 0) == ok, printed
        return printed

    def kill(self, pattern: str, *arguments: str) -> None:
        """Run until a file of the results matches `pattern`, kill all processes, and unlock.

        Snakemake starts in a process of its own, and a training saves its state at every step.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *self.arguments(*arguments)],
            cwd=self.folder,
            env={**self.environment(), "LTDM_SAVE_SECONDS": "0"},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 200
        while not list(self.results.glob(pattern)) and time.monotonic() < deadline:
            assert process.poll() is None, "ended before it was killed"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert list(self.results.glob(pattern)), f"killed before there was a {pattern}"
        self.snakemake("--unlock")

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return the number of jobs of a dry run, by rule; empty if nothing is due."""
        printed = self.snakemake("--dry-run", *arguments, "--quiet", "host")
        table = printed.partition("Job stats:")[2].partition("total")[0].splitlines()[3:]
        return {line.split()[0]: int(line.split()[1]) for line in table if line.strip()}

    def jobs(self) -> list[tuple[str, str]]:
        """Return the rule and the run of each job of a dry run."""
        printed, jobs = self.snakemake("--dry-run"), []
        for block in printed.split("\nrule ")[1:]:
            rule = block.partition(":")[0].removeprefix("local")
            run = block.partition("wildcards:")[2].partition("run=")[2].split("\n")[0]
            jobs.append((rule, run.partition(",")[0]))
        return jobs

    def rewrite(self, name: str, **values: object) -> None:
        """Change values of a record, but not its modification time."""
        record, times = self.results / name, (self.results / name).stat()
        record.write_text(json.dumps({**json.loads(record.read_text()), **values}))
        os.utime(record, ns=(times.st_atime_ns, times.st_mtime_ns))

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


def project(folder: Path) -> Checkout:
    """Copy the project, without results."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / part, ignore=ignore)
        else:
            shutil.copy2(source, folder / part)
    return Checkout(folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Checkout:
    """The checkout in which the smoke experiment has run, shared by all pytest workers."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "finished"
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            folder.mkdir()
            first = project(folder)
            first.log, first.python = shared / "modules", sys.executable
            first.snakemake("--cores", "2")
    checkout = Checkout(folder)
    checkout.log = shared / "modules"
    return checkout


@pytest.fixture
def checkout(finished, tmp_path) -> Checkout:
    """A copy of the finished checkout that a test may change."""
    return finished.copy_to(tmp_path / "checkout")
