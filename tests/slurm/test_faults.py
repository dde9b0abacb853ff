"""Faults of clusters during a training, which must end with the bytes of an undisturbed one."""

import os
import shutil
import signal
import time

import pytest

from tests.slurm.conftest import Project

FAULTS = """
inherits: smoke.yaml
experiment: faults
grid: {run: [ddpm], seed: [0, 1, 2, 3, 4, 5, 6]}
defaults: {train: {steps: 200}}
"""
RUN = "runs/digits-lt/ddpm/seed-{}"
pytestmark = pytest.mark.slurm


@pytest.fixture(scope="session")
def faults(project: Project) -> Project:
    """The project with its data set, in one copy for the cluster and one for other trainings."""
    (project.folder / "config/faults.yaml").write_text(FAULTS)
    project.ltdm("prepare", "config/faults.yaml")
    data = project.folder / "results/faults/data"
    shutil.copytree(data, project.folder / "undisturbed/faults/data")
    return project


class Trial:
    """One seed's training on the cluster, with a fault."""

    def __init__(self, project: Project, seed: int):
        self.project, self.seed, self.cluster = project, seed, project.cluster
        self.home = project.folder / "results/faults" / RUN.format(seed)
        self.model = str((self.home / "model.safetensors").relative_to(project.folder))
        self.before = project.times()

    def undisturbed(self, name: str) -> bytes:
        """Return a file of this seed's network, made by an undisturbed training."""
        folder = self.project.folder / "undisturbed/faults" / RUN.format(self.seed)
        if not folder.exists():
            options = ("--results", "undisturbed", "--seed", str(self.seed))
            self.project.ltdm("train", "config/faults.yaml", *options)
        return (folder / name).read_bytes()

    def start(self, *arguments: str):
        """Start Snakemake for this seed's network."""
        return self.project.start(self.model, *arguments, "--configfile", "config/faults.yaml")

    def check_end(self, process, resumed: bool = True, ok: bool = True) -> str:
        """Check that Snakemake ends with the undisturbed network and changes no other result."""
        printed = self.project.end(process, ok)
        for name in ("model.safetensors", "history.csv"):
            assert (self.home / name).read_bytes() == self.undisturbed(name), name
        assert not (self.home / "state").exists()
        log = self.project.folder / f"results/faults/logs/train/digits-lt/ddpm/seed-{self.seed}.log"
        assert ("resuming at step" in log.read_text()) == resumed
        after = self.project.times()
        assert {f: after[f] for f in self.before} == self.before, "another job ran again"
        return printed

    def start_requeued(self) -> None:
        """Wait until Slurm has requeued the job, and start it at once."""
        self.cluster.wait("a requeued job", self._waits, 90)
        self.cluster.start_now()

    def _waits(self) -> bool:
        return any(job["reason"] == "BeginTime" for job in self.cluster.jobs())


def read_log(log) -> str:
    """Return a log's text, empty if there is none."""
    return log.read_text() if log.exists() else ""


def test_scancel(faults):
    trial = Trial(faults, 0)
    process = trial.start()
    with faults.paused(process, trial.home) as holder:
        faults.cluster.run("scancel", holder["job"])  # which also wakes the process
    trial.check_end(process)


def test_kill_and_a_job_that_fails(faults):
    """The killed training succeeds in its second attempt, and the other job never does."""
    reference = faults.folder / "results/faults/data/digits-lt/reference.npz"
    content, when = reference.read_bytes(), reference.stat()
    reference.write_bytes(content[:1000])
    os.utime(reference, ns=(when.st_atime_ns, when.st_mtime_ns))
    trial = Trial(faults, 1)
    weights = "results/faults/data/digits-lt/extractors/classifier.safetensors"
    process = trial.start(weights, "--retries", "1")
    with faults.paused(process, trial.home) as holder:
        os.kill(holder["pid"], signal.SIGKILL)
    printed = trial.check_end(process, ok=False)
    reference.write_bytes(content)
    os.utime(reference, ns=(when.st_atime_ns, when.st_mtime_ns))
    head, last = printed.splitlines()[-2:]
    assert head.startswith("ltdm: 1 job failed; ")
    assert last.startswith("ltdm: extractor digits-lt/classifier failed after 2 attempts: results/")
    assert "reference.npz is damaged" in last
    assert printed.count("ltdm: it was killed by SIGKILL") == 1
    assert len(printed.splitlines()) < 150


def test_shared_gpus_are_an_error_before_any_submission(faults):
    trial, before = Trial(faults, 1), faults.cluster.jobs(done=True)
    faults.write_site("gpu: {partition: gpu}\njobs_per_gpu: 2\n")
    try:
        printed = faults.end(trial.start("--force"), ok=False)
        assert "ltdm: site.yaml: jobs_per_gpu is 2, but on Slurm" in printed
        assert faults.cluster.jobs(done=True) == before
    finally:
        faults.write_site("gpu: {partition: gpu}\n")


def test_a_time_limit_of_one_minute(faults):
    """A pause for most of the limit simulates a slow training, which then stops by itself."""
    trial = Trial(faults, 2)
    process = trial.start("--set-resources", "train:runtime=1")
    with faults.paused(process, trial.home) as holder:
        left = ("squeue", "--noheader", "--jobs", holder["job"], "--format=%L")
        faults.cluster.wait("the last seconds", lambda: faults.cluster.run(*left) < "0:07", 70)
    trial.start_requeued()
    printed = trial.check_end(process)
    assert "Trying to restart" not in printed, f"the job requeued itself: {printed}"


def test_node_failure(faults):
    trial = Trial(faults, 3)
    process = trial.start()
    with faults.paused(process, trial.home) as holder:
        job = next(job for job in faults.cluster.jobs() if job["id"] == holder["job"])
        faults.cluster.node_down(job["node"])
    trial.start_requeued()
    printed = trial.check_end(process)
    faults.cluster.node_up(job["node"])
    assert "Trying to restart" not in printed, "a requeue by Slurm uses no retry"


def test_preemption(faults):
    trial = Trial(faults, 4)
    faults.write_site("gpu: {partition: gpu_low}\n")
    process = trial.start()
    with faults.paused(process, trial.home):
        for _ in range(2):  # all GPUs of both nodes
            all_of_one = ("--gpus=2", "--nodes=1", "--output=/dev/null", "--wrap", "sleep 5")
            faults.cluster.run("sbatch", "-p", "gpu", *all_of_one)
        trial.start_requeued()
    printed = trial.check_end(process)
    faults.write_site("gpu: {partition: gpu}\n")
    assert "Trying to restart" not in printed


def test_controller_restart(faults):
    trial = Trial(faults, 5)
    process = trial.start()
    with faults.paused(process, trial.home):
        faults.cluster.restart_controller(pause=10)
    trial.check_end(process, resumed=False)


def test_a_second_job_waits_for_the_orphan_of_a_killed_snakemake(faults):
    trial = Trial(faults, 6)
    process = trial.start()
    with faults.paused(process, trial.home):
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        faults.end(faults.start("--unlock", "--configfile", "config/faults.yaml"))
        again = trial.start()
        log = faults.folder / "results/faults/logs/train/digits-lt/ddpm/seed-6.log"
        message = "waiting for Slurm job"
        faults.cluster.wait("the second job", lambda: message in read_log(log), 90)
        time.sleep(1)
    faults.end(again)
    assert "another job has finished this network in the meantime" in read_log(log)
    name = "model.safetensors"
    assert (trial.home / name).read_bytes() == trial.undisturbed(name)
