"""The real workflow on the smoke config, run once; tests work on copies of it."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workflow import forking

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "rules", "workflow", "profiles", "config", "ltdm")


class Checkout:
    """A copy of the project in which Snakemake runs as a user would run it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.config = folder / "config/smoke.yaml"
        self.configs = ["config/smoke.yaml"]
        self.results = folder / "results/smoke"

    def forget(self) -> None:
        """Lose Snakemake's records, as a fresh clone beside the same results has none."""
        shutil.rmtree(self.folder / ".snakemake")

    def copy_to(self, folder: Path) -> "Checkout":
        """Copy with modification times, Snakemake's records included."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Checkout(folder)

    def asked(self, *arguments: str) -> list[str]:
        return ["--configfile", *self.configs, *arguments]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "LTDM_DEVICE": "cpu"}

    def snakemake(self, *arguments: str, ok: bool = True) -> str:
        """Run to the end; return what it printed."""
        asked = self.asked(*arguments)
        status, printed = forking.snakemake(asked, self.folder, self.environment())
        assert (status == 0) == ok, printed
        return printed

    def kill(self, there: str, *arguments: str) -> None:
        """Run until a file is there, kill all at once, and unlock what Snakemake left locked.

        This is a start as a user makes it, and it saves the state of a training at every update.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *self.asked(*arguments)],
            cwd=self.folder,
            env={**self.environment(), "LTDM_SAVE_SECONDS": "0"},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 200
        while not list(self.results.glob(there)) and time.monotonic() < deadline:
            assert process.poll() is None, "ended before it was killed"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert list(self.results.glob(there)), f"killed before there was a {there}"
        self.snakemake("--unlock")

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return the jobs of a dry run by rule; empty where nothing is to be done."""
        printed = self.snakemake("--dry-run", *arguments, "--quiet", "host")
        table = printed.partition("Job stats:")[2].partition("total")[0].splitlines()[3:]
        return {line.split()[0]: int(line.split()[1]) for line in table if line.strip()}

    def jobs(self) -> list[tuple[str, str]]:
        """Return rule and run of each job of a dry run."""
        printed, found = self.snakemake("--dry-run"), []
        for block in printed.split("\nrule ")[1:]:
            rule = block.partition(":")[0].removeprefix("local")
            run = block.partition("wildcards:")[2].partition("run=")[2].split("\n")[0]
            found.append((rule, run.partition(",")[0]))
        return found

    def rewrite(self, name: str, **values: object) -> None:
        """Change a record by hand, its times kept."""
        record, times = self.results / name, (self.results / name).stat()
        record.write_text(json.dumps({**json.loads(record.read_text()), **values}))
        os.utime(record, ns=(times.st_atime_ns, times.st_mtime_ns))

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


def project(folder: Path) -> Checkout:
    """Copy the project, nothing of which has run."""
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
    """A checkout whose smoke experiment has run, the same for all workers."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "finished"
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            folder.mkdir()
            project(folder).snakemake("--cores", "2")
    return Checkout(folder)


@pytest.fixture
def checkout(finished, tmp_path) -> Checkout:
    """A copy of the finished checkout, to change."""
    return finished.copy_to(tmp_path / "checkout")
