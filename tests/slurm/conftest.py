"""One Slurm cluster for all tests of this folder, and a copy of the project whose jobs run on it.

Without Slurm's packages the tests fail, since nobody would notice skipped ones.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "rules", "workflow", "profiles", "config", "ltdm", "slurm")
POLL = ("--slurm-init-seconds-before-status-checks", "4")


class Project:
    """A copy of the project, in which Snakemake runs as for a user of the cluster."""

    def __init__(self, folder: Path, cluster: Cluster):
        self.folder, self.cluster = folder, cluster
        for part in PARTS:
            command = ["cp", "-a", str(ROOT / part), str(folder / part)]
            subprocess.run(command, check=True)
        self.write_site("gpu: {partition: gpu}\ncpu: {partition: cpu}\n")

    def write_site(self, site: str) -> None:
        """Write site.yaml, with which jobs are submitted."""
        (self.folder / "site.yaml").write_text(site)

    def environment(self) -> dict[str, str]:
        """Return the environment of Snakemake: the cluster's, one thread, and frequent states."""
        own = {"LTDM_DEVICE": "cpu", "LTDM_SAVE_SECONDS": "0", "OMP_NUM_THREADS": "1"}
        return {**os.environ, **self.cluster.environment(), **own}

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start `snakemake --profile slurm`."""
        command = [sys.executable, "-m", "snakemake", "--profile", "slurm", *arguments, *POLL]
        options = {"cwd": self.folder, "env": self.environment(), "text": True}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, start_new_session=True, **options, **pipes)

    def end(self, process: subprocess.Popen, ok: bool = True) -> str:
        """Wait for Snakemake's end; return its output."""
        printed, _ = process.communicate(timeout=500)
        assert (process.returncode == 0) == ok, printed
        return printed

    def ltdm(self, *arguments: str) -> str:
        """Run a command of ltdm outside the cluster."""
        command = [sys.executable, "-m", "ltdm", *arguments]
        options = {"cwd": self.folder, "env": self.environment(), "text": True}
        return subprocess.run(command, check=True, capture_output=True, **options).stdout

    @contextmanager
    def paused(self, process: subprocess.Popen, run: Path) -> Iterator[dict[str, str | int]]:
        """Pause a run's process once it has saved a state; yield the holder of its lock."""
        self.cluster.wait(
            f"a state of {run}",
            lambda: process.poll() is not None or list(run.glob("state/*/state.pt")),
            200,
        )
        assert process.poll() is None, self.end(process)
        holder = json.loads((run / "state/lock").read_text())
        os.kill(holder["pid"], signal.SIGSTOP)
        try:
            yield holder
        finally:
            with suppress(ProcessLookupError):  # the fault may have ended it
                os.kill(holder["pid"], signal.SIGCONT)

    def times(self) -> dict[Path, int]:
        """Return the time at which each result was written, in ns, without logs and benchmarks."""
        files = (f for f in (self.folder / "results").rglob("*") if f.is_file())
        ignored = ("logs", "benchmarks", "slurm")
        return {f: f.stat().st_mtime_ns for f in files if not {*ignored} & {*f.parts}}


def pytest_collection_modifyitems(items):
    """Begin with the longest test, so that others run in parallel."""
    items.sort(key=lambda item: item.path.stem != "test_workflow")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    # Not pytest's folder: a socket's path has at most 107 bytes.
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp")))
    try:
        cluster.start()
        yield cluster
    except FileNotFoundError as error:
        pytest.fail(str(error), pytrace=False)
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def project(cluster, tmp_path_factory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("project")
    yield Project(folder, cluster)
    shutil.rmtree(folder, ignore_errors=True)
