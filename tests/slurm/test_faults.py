"""What clusters do to a training: each time it ends with the bytes of an undisturbed one."""

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
defaults: {train: {steps: 300}}
"""
RUN = "runs/digits-lt/ddpm/seed-{}"
pytestmark = pytest.mark.slurm


@pytest.fixture(scope="session")
def faults(project: Project) -> Project:
    """The project with its data set, twice: for the cluster's jobs and for undisturbed ones."""
    (project.folder / "config/faults.yaml").write_text(FAULTS)
    project.ltdm("prepare", "config/faults.yaml")
    data = project.folder / "results/faults/data"
    shutil.copytree(data, project.folder / "undisturbed/faults/data")
    return project


class Trial:
    """One seed's training on the cluster, to which something happens."""

    def __init__(self, project: Project, seed: int):
        self.project, self.seed, self.cluster = project, seed, project.cluster
        self.home = project.folder / "results/faults" / RUN.format(seed)
        self.model = str((self.home / "model.safetensors").relative_to(project.folder))
        self.before = project.times()

    def whole(self, name: str) -> bytes:
        """Return a file of this seed's network as one undisturbed training makes it."""
        apart = ("--results", "undisturbed", "--seed", str(self.seed))
        self.project.ltdm("train", "config/faults.yaml", *apart)
        return (
            self.project.folder / "undisturbed/faults" / RUN.format(self.seed) / name
        ).read_bytes()

    def start(self, *arguments: str):
        return self.project.start(self.model, *arguments, "--configfile", "config/faults.yaml")

    def ends_well(self, process, resumed: bool = True) -> str:
        """See Snakemake end with the undisturbed network, and every other result left alone."""
        printed = self.project.end(process)
        for name in ("model.safetensors", "history.csv"):
            assert (self.home / name).read_bytes() == self.whole(name), name
        assert not (self.home / "state").exists()
        log = self.project.folder / f"results/faults/logs/train/digits-lt/ddpm/seed-{self.seed}.log"
        assert ("resuming at step" in log.read_text()) == resumed
        after = self.project.times()
        assert {f: after[f] for f in self.before} == self.before, "something else ran again"
        return printed

    def requeued(self) -> None:
        """Let the job that Slurm has put back into its queue start at once."""
        self.cluster.wait("a requeued job", self._waits, 90)
        self.cluster.start_now()

    def _waits(self) -> bool:
        return any(job["reason"] == "BeginTime" for job in self.cluster.jobs())


def read(log) -> str:
    """Return what a log says, if it is there."""
    return log.read_text() if log.exists() else ""


def test_scancel(faults):
    trial = Trial(faults, 0)
    process = trial.start()
    with faults.frozen(process, trial.home) as holder:
        faults.cluster.run("scancel", holder["job"])  # which wakes it
    trial.ends_well(process)


def test_kill(faults):
    trial = Trial(faults, 1)
    process = trial.start()
    with faults.frozen(process, trial.home) as holder:
        os.kill(holder["pid"], signal.SIGKILL)
    trial.ends_well(process)


def test_shared_gpus_are_refused_before_anything_is_submitted(faults):
    trial, before = Trial(faults, 1), faults.cluster.jobs(done=True)
    faults.say("gpu: {partition: gpu}\njobs_per_gpu: 2\n")
    try:
        printed = faults.end(trial.start("--force"), ok=False)
        assert "ltdm: site.yaml: jobs_per_gpu is 2, but on Slurm" in printed
        assert faults.cluster.jobs(done=True) == before
    finally:
        faults.say("gpu: {partition: gpu}\n")


def test_a_time_limit_of_one_minute(faults):
    """Sleeping through most of it stands for a slow training: it then stops by itself."""
    trial = Trial(faults, 2)
    process = trial.start("--set-resources", "train:runtime=1")
    with faults.frozen(process, trial.home) as holder:
        left = ("squeue", "--noheader", "--jobs", holder["job"], "--format=%L")
        faults.cluster.wait("the last seconds", lambda: faults.cluster.run(*left) < "0:04", 70)
    trial.requeued()
    printed = trial.ends_well(process)
    assert "Trying to restart" not in printed, "the job went back into the queue by itself"


def test_a_node_that_dies(faults):
    trial = Trial(faults, 3)
    process = trial.start()
    with faults.frozen(process, trial.home) as holder:
        job = next(job for job in faults.cluster.jobs() if job["id"] == holder["job"])
        faults.cluster.node_down(job["node"])
    trial.requeued()
    printed = trial.ends_well(process)
    faults.cluster.node_up(job["node"])
    assert "Trying to restart" not in printed, "Slurm's own requeue uses up no retry"


def test_preemption(faults):
    trial = Trial(faults, 4)
    faults.say("gpu: {partition: gpu_low}\n")
    process = trial.start()
    with faults.frozen(process, trial.home):
        for _ in range(2):  # all GPUs of both nodes
            all_of_one = ("--gpus=2", "--nodes=1", "--output=/dev/null", "--wrap", "sleep 5")
            faults.cluster.run("sbatch", "-p", "gpu", *all_of_one)
        trial.requeued()
    printed = trial.ends_well(process)
    faults.say("gpu: {partition: gpu}\n")
    assert "Trying to restart" not in printed


def test_a_controller_that_goes_away(faults):
    trial = Trial(faults, 5)
    process = trial.start()
    with faults.frozen(process, trial.home):
        faults.cluster.restart_controller(away=10)
    trial.ends_well(process, resumed=False)


def test_an_orphan_of_a_killed_snakemake_is_waited_for(faults):
    trial = Trial(faults, 6)
    process = trial.start()
    with faults.frozen(process, trial.home):
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        faults.end(faults.start("--unlock", "--configfile", "config/faults.yaml"))
        again = trial.start()
        log = faults.folder / "results/faults/logs/train/digits-lt/ddpm/seed-6.log"
        told = "waiting for Slurm job"
        faults.cluster.wait("the second job", lambda: told in read(log), 90)
        time.sleep(1)
    faults.end(again)
    assert "another job has finished this network in the meantime" in read(log)
    name = "model.safetensors"
    assert (trial.home / name).read_bytes() == trial.whole(name)
