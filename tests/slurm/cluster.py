"""A private, temporary Slurm cluster on this machine: real daemons, several nodes, fake GPUs.

It needs the packages `slurm-wlm` and `munge` of Debian or Ubuntu, but not their services, and no
root. All files are in one folder, and all sockets listen on 127.0.0.1. By hand:

    eval "$(python -m tests.slurm.cluster start /tmp/slurm)"    # sbatch, squeue ... now use it
    snakemake --profile slurm
    python -m tests.slurm.cluster stop /tmp/slurm
"""

import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import click

CLIENTS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")


class Cluster:
    """Nodes n1, n2, ... in the partitions `cpu`, `gpu` and `gpu_low`, which `gpu` preempts."""

    def __init__(self, folder: Path):
        """Set the folder; its path must be short, since a socket's has 107 bytes at most."""
        self.folder = folder.resolve()

    def start(self, nodes: int = 2, cpus: int = 16, memory: int = 64_000, gpus: int = 2) -> None:
        """Start the daemons and wait until all nodes are idle; `memory` is in MB per node."""
        for part in ("bin", "dev", "log", "munge", "spool", "state"):
            (self.folder / part).mkdir(parents=True)
        self._write_config(nodes, f"CPUs={cpus} RealMemory={memory}", gpus)
        self._write_clients()
        munge = self.folder / "munge"
        (munge / "key").touch(0o600)
        (munge / "key").write_bytes(os.urandom(1024))
        files = {"socket": "socket", "key-file": "key", "seed-file": "seed", "pid-file": "pid"}
        paths = [f"--{option}={munge}/{file}" for option, file in files.items()]
        log = f"--log-file={self.folder}/log/munged.log"
        self._daemon("munged", "--force", "--origin=127.0.0.1", log, *paths)
        self._daemon("slurmctld")
        for number in range(nodes):
            self.node_up(f"n{number + 1}")
        states = ("sinfo", "--noheader", "--Node", "--partition=cpu", "--format=%T")
        self.wait("idle nodes", lambda: self.run(*states).split() == ["idle"] * nodes)

    def stop(self) -> None:
        """Kill the daemons and all processes of jobs, and remove the folder."""
        self._kill("", signal.SIGKILL)
        if (self.folder / "slurm.conf").exists():
            shutil.rmtree(self.folder)

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which Slurm's commands find this cluster."""
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        return {"SLURM_CONF": f"{self.folder}/slurm.conf", "PATH": path}

    def run(self, *command: str) -> str:
        """Run a command in this cluster's environment; return its output."""
        environment = {**os.environ, **self.environment()}
        process = subprocess.run(
            command, env=environment, text=True, capture_output=True, timeout=60
        )
        if process.returncode:
            output = f"{process.stdout}{process.stderr}{self._log()}"
            raise RuntimeError(f"{' '.join(command)}: {output}")
        return process.stdout.strip()

    def jobs(self, *, done: bool = False) -> list[dict[str, str]]:
        """Return the waiting and running jobs; with `done`, recent ones as well.

        For a job of Snakemake, `rule` is `rule_<rule>_wildcards_<values>`.
        """
        names = ("id", "rule", "partition", "state", "reason", "node")
        states = ["--states=all"] if done else []
        lines = self.run("squeue", "--noheader", "--format=%i|%k|%P|%T|%r|%N", *states).splitlines()
        return [dict(zip(names, line.split("|"), strict=True)) for line in lines]

    def finished(self) -> list[dict[str, str]]:
        """Return Slurm's record of each finished job: JobId, JobState, ExitCode, NodeList, ..."""
        file = self.folder / "log/finished.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]

    def start_now(self) -> None:
        """Start requeued jobs at once; Slurm would delay them for two minutes."""
        for job in self.jobs():
            if job["reason"] == "BeginTime":
                self.run("scontrol", "update", f"jobid={job['id']}", "StartTime=now")

    def node_down(self, name: str) -> None:
        """Kill a node and all processes on it; Slurm notices after twenty seconds."""
        self._kill(name, signal.SIGKILL)

    def node_up(self, name: str) -> None:
        """Start a node's daemon."""
        (self.folder / "spool" / name).mkdir(exist_ok=True)
        self._daemon("slurmd", "-N", name, name=name)

    def restart_controller(self, pause: float = 0.0) -> None:
        """Stop the controller and start it again after `pause` seconds; jobs keep running."""
        self._kill("slurmctld", signal.SIGTERM)
        time.sleep(pause)
        self._daemon("slurmctld")

    def wait(self, what: str, condition: Callable[[], object], seconds: float = 60) -> None:
        """Return once a condition holds; raise TimeoutError after `seconds`."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds} s for {what}{self._log()}")
            time.sleep(0.2)

    def _log(self) -> str:
        log = (self.folder / "log/slurmctld.log").read_text()
        return f"\nThe controller's log ends with\n{log[-2000:]}"

    def _daemon(self, *command: str, name: str = "") -> None:
        """Start a daemon with its name in SLURMD_NODENAME, by which `_processes` finds it.

        Slurm sets that variable for jobs, so they are found with their node.
        """
        variables = {
            "SLURM_CONF": f"{self.folder}/slurm.conf",
            "SLURMD_NODENAME": name or command[0],
        }
        start = [program(command[0]), *command[1:]]
        subprocess.run(
            start, env={**os.environ, **variables}, check=True, stdout=subprocess.DEVNULL
        )

    def _processes(self, name: str) -> list[int]:
        """Return the ids of a daemon and the processes on its node; without a name, of all.

        A zombie's environment cannot be read, so it counts as gone.
        """
        processes = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                environ = (process / "environ").read_text(errors="replace").split("\0")
            except OSError:
                continue  # another user's, or just gone
            ours = any(f"{self.folder}/" in variable for variable in environ)
            node = next((v for v in environ if v.startswith("SLURMD_NODENAME=")), None)
            if ours and node and name in ("", node.partition("=")[2]):
                processes.append(int(process.name))
        return processes

    def _kill(self, name: str, number: int) -> None:
        """Signal processes, and those that they start meanwhile, until none remains."""
        for _ in range(150):
            if not (processes := self._processes(name)):
                return
            for process in processes:
                try:
                    os.kill(process, number)
                except ProcessLookupError:
                    continue
            time.sleep(0.1)
        raise TimeoutError(f"{name or 'the cluster'} does not end: processes {processes}")

    def _write_config(self, nodes: int, node: str, gpus: int) -> None:
        template = Path(__file__).with_name("slurm.conf").read_text()
        port = free_ports(nodes + 1)
        node += f" Gres=gpu:{gpus}"
        values = {
            "folder": self.folder,
            "nodes": nodes,
            "node": node,
            "port": port,
            "host": socket.gethostname().partition(".")[0],
            "user": pwd.getpwuid(os.getuid()).pw_name,
            "first": port + 1,
            "last": port + nodes,
        }
        (self.folder / "slurm.conf").write_text(template.format(**values))
        # Cgroups are not used, but the default plugin needs some that a container may lack.
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        for index in range(gpus):
            # Slurm accepts a link to any device as a GPU, and sets CUDA_VISIBLE_DEVICES.
            (self.folder / f"dev/nvidia{index}").symlink_to("/dev/null")
        devices = ",".join(f"{self.folder}/dev/nvidia{index}" for index in range(gpus))
        (self.folder / "gres.conf").write_text(f"NodeName=n[1-{nodes}] Name=gpu File={devices}\n")

    def _write_clients(self) -> None:
        """Write commands that set this cluster's SLURM_CONF themselves.

        Snakemake's plugin removes SLURM_CONF from its jobs, but keeps PATH.
        """
        for name in CLIENTS:
            client, variable = self.folder / "bin" / name, f"SLURM_CONF={self.folder}/slurm.conf"
            client.write_text(f'#!/bin/sh\n{variable} exec {program(name)} "$@"\n')
            client.chmod(0o755)


def program(name: str) -> str:
    """Return the path of a program of Slurm."""
    if not (path := shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")):
        raise FileNotFoundError(
            f"`{name}` is not installed; on Debian and Ubuntu: "
            "sudo apt-get install --no-install-recommends slurm-wlm munge"
        )
    return path


def free_ports(number: int) -> int:
    """Return the first of `number` consecutive free ports."""

    def is_free(port: int) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) != 0

    first = random.randrange(20_000, 30_000)  # apart from a cluster that starts now
    return next(p for p in count(first) if all(is_free(p + i) for i in range(number)))


@click.command()
@click.argument("action", type=click.Choice(["start", "stop", "env"]))
@click.argument("folder", type=click.Path(path_type=Path))
def main(action: str, folder: Path) -> None:
    """Start or stop the cluster of a folder, or print its environment variables."""
    cluster = Cluster(folder)
    if action == "stop":
        cluster.stop()
        return
    if action == "start":
        cluster.start()
    for name, value in cluster.environment().items():
        click.echo(f"export {name}={value}")


if __name__ == "__main__":
    main()
