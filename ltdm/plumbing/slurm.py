"""What Slurm says of the job that this process runs in."""

import os
import re
import socket
import subprocess

ANSWERS_WITHIN = 30.0  # seconds; a controller that is away is not waited for


def job_id() -> str | None:
    """Return the number of the Slurm job that this process runs in, if it runs in one."""
    return os.environ.get("SLURM_JOB_ID")


def here() -> dict[str, str | int | None]:
    """Return where this process is: host, pid, and Slurm job if there is one."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "job": job_id()}


def seconds_left() -> float | None:
    """Return the seconds until Slurm ends this job.

    None outside a job, where it has no limit, and where Slurm does not answer.
    """
    number = job_id()
    if number is None:
        return None
    command = ["squeue", "--noheader", "--jobs", number, "--format", "%L"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=ANSWERS_WITHIN
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return seconds(answer.stdout.strip())


def requeue() -> bool:
    """Put this job back into Slurm's queue, where it waits for another turn; return whether it is.

    Slurm then ends this process. Snakemake sees a job that waits, and no failure.
    """
    number = job_id()
    if number is None:
        return False
    try:
        subprocess.run(
            ["scontrol", "requeue", number], capture_output=True, check=True, timeout=ANSWERS_WITHIN
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def seconds(text: str) -> float | None:
    """Read a span of Slurm's, `[days-][[hours:]minutes:]seconds`; None if it is none."""
    if not re.fullmatch(r"(\d+-)?(\d+:){0,2}\d+", text):
        return None
    days, _, rest = text.rpartition("-")
    total = 0
    for part in rest.split(":"):
        total = 60 * total + int(part)
    return float(86400 * int(days or 0) + total)
