"""One training by several processes of a machine, a GPU each, under torchrun's launcher.

The launching process starts them and raises what ended them; `worker` has their side, and
`ltdm.networks._predictor` shares out the rows.
"""

import json
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch

from ltdm.plumbing.errors import Interruption, LtdmError
from ltdm.plumbing.files import read_json
from ltdm.plumbing.stopping import StopRequest
from ltdm.training.worker import SAID, gpus

GRACE = 600  # seconds; the first process saves its state in that time
ALIKE = 20
"""Seconds between failures of one cause: what is left after 30 the agent itself kills."""
GOES_ON = "the same command goes on from the last state that was saved"


def available(asked: int) -> int:
    """Return how many of the processes asked for can run here: one a GPU, or any on a CPU."""
    return min(asked, gpus() or asked)


def launch(processes: int, module: str, arguments: dict[str, Any], stop: StopRequest) -> None:
    """Run a module that calls `worker.work` in so many processes, and wait for them.

    The function that the module gives to `work` is called with the arguments, as JSON has them.
    `stop` is asked before they start; its deadline is passed on to the first process.

    Raises:
        LtdmError: What one of the processes raised, or how it was killed.
        Interruption: They got a signal to stop, or their time is up.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(GRACE))
    # A process that loses the others must end, not go on with what it had of their gradients.
    os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "3")
    with tempfile.TemporaryDirectory(prefix="ltdm-") as name:
        folder = Path(name)
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=processes, max_restarts=0,
            run_id=folder.name, rdzv_backend="c10d", rdzv_endpoint="localhost:0",
            local_addr="localhost", logs_specs=DefaultLogsSpecs(name),
        )  # fmt: skip
        job = {
            "folder": name, "launcher": os.getpid(),
            "threads": max(1, torch.get_num_threads() // processes),
            "deadline": stop.deadline, "arguments": arguments,
        }  # fmt: skip
        text = json.dumps(job).replace("$", r"\u0024")  # the launcher would fill in what follows
        try:
            with _signals_raise(), _passing_streams():
                if why := stop.reason():
                    raise Interruption(f"stopped before it trained, since {why}; {GOES_ON}")
                elastic_launch(config, sys.executable)("-m", module, text)
        except SignalException as error:
            sent = f"stopped, since it was sent {error.sigval.name}; {GOES_ON}"
            raise _told(folder) or Interruption(sent) from None
        except ChildFailedError as error:
            failures = error.failures.items()
            first = min(failure.timestamp for _, failure in failures)
            codes = {rank: one.exitcode for rank, one in failures if one.timestamp - first < ALIKE}
            raise _killed(codes) or _told(folder) or _failed(folder, codes) from None


def _told(folder: Path) -> LtdmError | None:
    """Return what the first process that had something to say to the user said."""
    for said in _said(folder):
        if said["kind"] != "bug":
            return (Interruption if said["kind"] == "stopped" else LtdmError)(said["text"])
    return None


def _killed(codes: dict[int, int]) -> LtdmError | None:
    """Return which process was killed, if one was, by its exit code: minus the signal."""
    for rank, code in codes.items():
        if code < 0 and code != -signal.SIGTERM:  # which the agent sends to those that are left
            by = signal.Signals(-code)
            memory = ", perhaps for want of memory" if by == signal.SIGKILL else ""
            return LtdmError(
                f"process {rank} of those that train together was ended by {by.name}{memory};"
                f" {GOES_ON}"
            )
    return None


def _failed(folder: Path, codes: dict[int, int]) -> Exception:
    """Return why processes ended that had nothing to say to the user, from their exit codes."""
    for said in _said(folder):
        return RuntimeError(f"a process of the training failed:\n{said['text']}")
    if -signal.SIGTERM in codes.values():
        return Interruption(f"stopped, since a process was sent SIGTERM; {GOES_ON}")
    return RuntimeError(f"processes of the training ended with {codes}, and said no more")


def _said(folder: Path) -> list[dict[str, Any]]:
    """Return what processes said when they ended, the first one first."""
    files = sorted(folder.glob(SAID.format("*")), key=lambda file: file.stat().st_mtime_ns)
    return [read_json(file) for file in files]


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let signals raise, as the launcher does once it has started, without undoing it."""
    from torch.distributed.elastic.multiprocessing import SignalException

    def on_signal(number: int, frame: FrameType | None) -> NoReturn:
        raise SignalException("", signal.Signals(number))

    numbers = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT
    main = threading.current_thread() is threading.main_thread()  # no other can set them
    before = {number: signal.signal(number, on_signal) for number in numbers if main}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _passing_streams() -> Iterator[None]:
    """Let the processes write where this one does, a rule's log perhaps, while it is silent."""
    kept = os.dup(2)
    with suppress(OSError):  # a stream that is no file
        os.dup2(sys.stderr.fileno(), 2)
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        os.dup2(kept, 2)
        os.close(kept)
