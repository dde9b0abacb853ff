"""One of several processes that train a network together: its start and its end.

If a process fails, torch's agent in the launching process ends the others; if the launching process
ends, for whatever reason, the kernel ends them all. So none is left waiting for rows or gradients
of the others.
"""

import ctypes
import json
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import FrameType

import torch
import torch.distributed as dist

from ltdm.core.device import pick_device
from ltdm.plumbing import environment
from ltdm.plumbing.errors import Interruption, LtdmError
from ltdm.plumbing.files import write_json
from ltdm.plumbing.stopping import StopRequest

REPORT_FILE = "report-{}.json"  # the error that ended a process, by its rank
PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others: the first may be saving, or compiling its network."""


def count_gpus() -> int:
    """Return how many GPUs there are to choose from, without touching one."""
    name = environment.device()
    return 0 if name == "cpu" else 1 if name.startswith("cuda:") else torch.cuda.device_count()


def run_worker(train: Callable[..., None]) -> None:
    """Run `train` in one of the processes that `distributed.launch` starts, and end the process.

    `train` gets a `StopRequest` in the first process, None in the others, and the arguments of
    `launch`.
    """
    job, rank = json.loads(sys.argv[1]), int(os.environ["RANK"])
    _die_with(job["launcher"])
    _configure_logging(rank)
    try:
        torch.set_num_threads(job["threads"])
        _init_group(rank)
        stop = _install_handlers(rank, job["deadline"])
        train(stop, **job["arguments"])
        dist.barrier()  # the first process may still be writing
        dist.destroy_process_group()
    except BaseException as error:
        _report_exit(Path(job["folder"]) / REPORT_FILE.format(rank), error)
        os._exit(1)


def _die_with(launcher: int) -> None:
    """Let the kernel kill this process when the launching process ends (on Linux alone)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:  # it ended before the call above
        os._exit(1)


def _configure_logging(rank: int) -> None:
    """Let the first process log as a job does, and the others not at all."""
    if rank:
        logging.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        return
    form = "%(message)s" if sys.stderr.isatty() else "%(asctime)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=form)
    logging.getLogger("torch").setLevel(logging.WARNING)
    # It concerns convolutions of one pixel, whose two memory orders are the same.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")


def _init_group(rank: int) -> None:
    """Join the group of processes, each on its own GPU if there are any."""
    if count_gpus():
        os.environ["LTDM_DEVICE"] = f"cuda:{rank}"
    device = pick_device()
    backend, device_id = ("nccl", device) if device.type == "cuda" else ("gloo", None)
    dist.init_process_group(backend, timeout=TIMEOUT, device_id=device_id)


def _install_handlers(rank: int, deadline: float | None) -> StopRequest | None:
    """Let the first process react to signals that the launcher passes on; the others ignore them.

    They end when the first process does.
    """
    stop, numbers = StopRequest(), (signal.SIGTERM, signal.SIGINT)
    stop.deadline = deadline

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.on_signal(number, frame)
        # Again, since Slurm signals each process and the launcher passes its own signal on too.
        signal.signal(number, on_signal)

    for number in numbers:
        signal.signal(number, signal.SIG_IGN if rank else on_signal)
    return None if rank else stop


def _report_exit(file: Path, error: BaseException) -> None:
    """Write the error that ends this process, for the launcher."""
    kind, text = "mistake", str(error)
    if isinstance(error, Interruption):
        kind = "stopped"
    elif not isinstance(error, LtdmError):
        kind, text = "bug", "".join(traceback.format_exception(error))
    write_json(file, {"kind": kind, "text": text})
