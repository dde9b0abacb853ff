"""What Slurm says of the job that this process runs in."""

import os
import re
import socket
import subprocess

JOB = "SLURM_JOB_ID"
ANSWERS_WITHIN = 30.0  # seconds; a controller that is away is not waited for


def here() -> dict[str, str | int | None]:
    """Return where this process is: host, pid, and Slurm job if there is one."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "job": os.environ.get(JOB)}


def seconds_left() -> float | None:
    """Return the seconds until Slurm ends this job.

    None outside a job, where it has no limit, and where Slurm does not answer.
    """
    return seconds((_answer("squeue", "--noheader", "--format=%L", "--jobs") or "").strip())


def requeue() -> bool:
    """Put this job back into Slurm's queue, where it waits for another turn; return whether it is.

    Slurm then ends this process. Snakemake sees a job that waits, and no failure.
    """
    return _answer("scontrol", "requeue") is not None


def _answer(*command: str) -> str | None:
    """Return what a command says of this job, whose number ends it; None if Slurm does not."""
    if JOB not in os.environ:
        return None
    try:
        asked = [*command, os.environ[JOB]]
        return subprocess.check_output(
            asked, stderr=subprocess.DEVNULL, text=True, timeout=ANSWERS_WITHIN
        )
    except (OSError, subprocess.SubprocessError):
        return None


def seconds(text: str) -> float | None:
    """Read a span of Slurm's, `[days-][[hours:]minutes:]seconds`; None if it is none."""
    if not re.fullmatch(r"(\d+-)?(\d+:){0,2}\d+", text):
        return None
    days, _, rest = text.rpartition("-")
    total = 0
    for part in rest.split(":"):
        total = 60 * total + int(part)
    return float(86400 * int(days or 0) + total)
