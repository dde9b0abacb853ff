"""The Slurm job of this process: its time limit, and putting it back into the queue."""

import os
import re
import socket
import subprocess

JOB_VARIABLE = "SLURM_JOB_ID"
TIMEOUT = 30.0  # seconds to wait for an answer of Slurm's controller


def process_info() -> dict[str, str | int | None]:
    """Return this process's host, process id (`pid`) and Slurm `job`, which may be None."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "job": os.environ.get(JOB_VARIABLE)}


def remaining_seconds() -> float | None:
    """Return the seconds until Slurm ends this job.

    None outside a job, for a job without a limit, and if Slurm does not answer.
    """
    return parse_time_span(
        (_query_slurm("squeue", "--noheader", "--format=%L", "--jobs") or "").strip()
    )


def requeue() -> bool:
    """Put this job back into Slurm's queue, and return whether that succeeded.

    Slurm then ends this process; Snakemake sees a pending job, not a failed one.
    """
    return _query_slurm("scontrol", "requeue") is not None


def _query_slurm(*command: str) -> str | None:
    """Return the output of a command, to which this job's id is added; None if it fails."""
    if JOB_VARIABLE not in os.environ:
        return None
    try:
        command = (*command, os.environ[JOB_VARIABLE])
        return subprocess.check_output(
            command, stderr=subprocess.DEVNULL, text=True, timeout=TIMEOUT
        )
    except (OSError, subprocess.SubprocessError):
        return None


def parse_time_span(text: str) -> float | None:
    """Return the seconds of Slurm's `[days-][[hours:]minutes:]seconds`; None of another text."""
    if not re.fullmatch(r"(\d+-)?(\d+:){0,2}\d+", text):
        return None
    days, _, rest = text.rpartition("-")
    total = 0
    for part in rest.split(":"):
        total = 60 * total + int(part)
    return float(86400 * int(days or 0) + total)
