"""One of several processes that train a network together: how it begins, and how it ends.

When one of them fails, torch's agent in the launching process ends the others; when that process
ends, however it ends, the kernel ends them all. So none is left waiting for rows or gradients of
the others.
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
from ltdm.plumbing.errors import Interruption, LtdmError
from ltdm.plumbing.files import write_json
from ltdm.plumbing.stopping import StopRequest

SAID = "said-{}.json"  # what a process ended with, by its rank
PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
WAIT = timedelta(minutes=30)
"""How long a process waits for the others: the first may be saving, or compiling its network."""


def gpus() -> int:
    """Return how many GPUs there are to choose from, without touching one."""
    name = os.environ.get("LTDM_DEVICE") or "auto"
    return 0 if name == "cpu" else 1 if name.startswith("cuda:") else torch.cuda.device_count()


def work(share: Callable[..., None]) -> None:
    """Do what one of the processes that `distributed.launch` starts does, and end it.

    `share` is called with a `StopRequest` in the first process, None in the others, and with the
    arguments of `launch`.
    """
    job, rank = json.loads(sys.argv[1]), int(os.environ["RANK"])
    _end_with(job["launcher"])
    _speak(rank)
    try:
        torch.set_num_threads(job["threads"])
        _join(rank)
        stop = _listen(rank, job["deadline"])
        share(stop, **job["arguments"])
        dist.barrier()  # the first one may still be writing
        dist.destroy_process_group()
    except BaseException as error:
        _say(Path(job["folder"]) / SAID.format(rank), error)
        os._exit(1)


def _end_with(launcher: int) -> None:
    """Let the kernel kill this process when the one that launched it ends (Linux alone can)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:  # it ended before it was watched
        os._exit(1)


def _speak(rank: int) -> None:
    """Let the first process log as a job does, and the others not at all."""
    if rank:
        logging.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        return
    form = "%(message)s" if sys.stderr.isatty() else "%(asctime)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=form)
    logging.getLogger("torch").setLevel(logging.WARNING)
    # Of convolutions of one pixel, where the two orders in memory are the same.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")


def _join(rank: int) -> None:
    """Meet the other processes, each on its GPU if there are any."""
    if gpus():
        os.environ["LTDM_DEVICE"] = f"cuda:{rank}"
    device = pick_device()
    backend, own = ("nccl", device) if device.type == "cuda" else ("gloo", None)
    dist.init_process_group(backend, timeout=WAIT, device_id=own)


def _listen(rank: int, deadline: float | None) -> StopRequest | None:
    """Let the first process hear what the launcher passes on; the others end when it does."""
    stop, numbers = StopRequest(), (signal.SIGTERM, signal.SIGINT)
    stop.deadline = deadline

    def hear(number: int, frame: FrameType | None) -> None:
        stop.on_signal(number, frame)
        signal.signal(number, hear)  # Slurm signals each process, and the launcher passes it on

    for number in numbers:
        signal.signal(number, signal.SIG_IGN if rank else hear)
    return None if rank else stop


def _say(file: Path, error: BaseException) -> None:
    """Write what a process ended with, for the launcher."""
    kind, text = "mistake", str(error)
    if isinstance(error, Interruption):
        kind = "stopped"
    elif not isinstance(error, LtdmError):
        kind, text = "bug", "".join(traceback.format_exception(error))
    write_json(file, {"kind": kind, "text": text})
