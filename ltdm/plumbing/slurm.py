"""What Slurm says of the job that this process runs in."""

import os
import re
import socket
import subprocess

JOB_VARIABLE = "SLURM_JOB_ID"
TIMEOUT = 30.0  # seconds; a controller that is away is not waited for


def process_info() -> dict[str, str | int | None]:
    """Return where this process is: host, pid, and Slurm job if there is one."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "job": os.environ.get(JOB_VARIABLE)}


def remaining_seconds() -> float | None:
    """Return the seconds until Slurm ends this job.

    None outside a job, where it has no limit, and where Slurm does not answer.
    """
    return parse_time_span(
        (_query_slurm("squeue", "--noheader", "--format=%L", "--jobs") or "").strip()
    )


def requeue() -> bool:
    """Put this job back into Slurm's queue, where it waits for another turn; return whether it is.

    Slurm then ends this process. Snakemake sees a job that waits, and no failure.
    """
    return _query_slurm("scontrol", "requeue") is not None


def _query_slurm(*command: str) -> str | None:
    """Return what a command says of this job, whose number ends it; None if Slurm does not."""
    if JOB_VARIABLE not in os.environ:
        return None
    try:
        asked = [*command, os.environ[JOB_VARIABLE]]
        return subprocess.check_output(asked, stderr=subprocess.DEVNULL, text=True, timeout=TIMEOUT)
    except (OSError, subprocess.SubprocessError):
        return None


def parse_time_span(text: str) -> float | None:
    """Read a span of Slurm's, `[days-][[hours:]minutes:]seconds`; None if it is none."""
    if not re.fullmatch(r"(\d+-)?(\d+:){0,2}\d+", text):
        return None
    days, _, rest = text.rpartition("-")
    total = 0
    for part in rest.split(":"):
        total = 60 * total + int(part)
    return float(86400 * int(days or 0) + total)
