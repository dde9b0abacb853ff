"""Training by several processes of one machine, one per GPU, under torchrun's launcher.

This is the launching process: it starts the others, waits, and raises the error that ended them.
`worker` is the side of each process, and `ltdm.networks._predictor` splits the batch by rows.
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
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from ltdm.plumbing.errors import Interruption, LtdmError
from ltdm.plumbing.files import read_json
from ltdm.plumbing.stopping import StopRequest
from ltdm.training.worker import REPORT_FILE, count_gpus

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig

GRACE_SECONDS = 600  # seconds in which the first process may save its state
SAME_CAUSE_SECONDS = 20
"""Failures within this time have one cause; after 30 s, the agent kills the remaining processes."""
RESUME_HINT = "the same command resumes from the last saved state"


def available_processes(requested: int) -> int:
    """Return how many of the requested processes can run: one per GPU, or all of them on a CPU."""
    return min(requested, count_gpus() or requested)


def launch(processes: int, module: str, arguments: dict[str, Any], stop: StopRequest) -> None:
    """Run a module that calls `worker.run_worker` in several processes, and wait for them.

    `arguments`, which must survive JSON, are those of the function that the module hands to
    `run_worker`. `stop` is checked before the start; the first process gets its deadline.

    Raises:
        LtdmError: A process raised it, or was killed.
        Interruption: A signal asked them to stop, or the time limit is near.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(GRACE_SECONDS))
    # A process that loses the others must end, not continue with partial gradients.
    os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "3")
    with tempfile.TemporaryDirectory(prefix="ltdm-") as name:
        folder = Path(name)
        job = {
            "folder": name,
            "launcher": os.getpid(),
            "threads": max(1, torch.get_num_threads() // processes),
            "deadline": stop.deadline,
            "arguments": arguments,
        }
        job_json = json.dumps(job).replace("$", r"\u0024")  # the launcher expands $variables
        try:
            with _raise_on_signals(), _pass_streams():
                if reason := stop.reason():
                    raise Interruption(f"stopped before training, since {reason}; {RESUME_HINT}")
                config = _launch_config(folder, processes)
                elastic_launch(config, sys.executable)("-m", module, job_json)
        except SignalException as error:
            message = f"stopped by signal {error.sigval.name}; {RESUME_HINT}"
            raise _reported_error(folder) or Interruption(message) from None
        except ChildFailedError as error:
            codes = _first_exit_codes(error)
            cause = _kill_error(codes) or _reported_error(folder)
            raise cause or _failure_error(folder, codes) from None


def _launch_config(folder: Path, processes: int) -> "LaunchConfig":
    """Return the launcher's settings: processes of this machine, started once."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        max_restarts=0,
        run_id=folder.name,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        logs_specs=DefaultLogsSpecs(str(folder)),
    )


def _first_exit_codes(error: "ChildFailedError") -> dict[int, int]:
    """Return the exit codes, by rank, of the processes that ended within `SAME_CAUSE_SECONDS`."""
    failures = error.failures
    first = min(failure.timestamp for failure in failures.values())
    return {
        rank: failure.exitcode
        for rank, failure in failures.items()
        if failure.timestamp - first < SAME_CAUSE_SECONDS
    }


def _reported_error(folder: Path) -> LtdmError | None:
    """Return the first error that a process reported for the user, if there is one."""
    for report in _read_reports(folder):
        if report["kind"] != "bug":
            return (Interruption if report["kind"] == "stopped" else LtdmError)(report["text"])
    return None


def _kill_error(codes: dict[int, int]) -> LtdmError | None:
    """Return an error that names the process killed by a signal, whose exit code is minus that."""
    for rank, code in codes.items():
        if code < 0 and code != -signal.SIGTERM:  # the agent sends SIGTERM to those that are left
            name = signal.Signals(-code).name
            memory = ", perhaps for lack of memory" if name == "SIGKILL" else ""
            return LtdmError(f"training process {rank} was killed by {name}{memory}; {RESUME_HINT}")
    return None


def _failure_error(folder: Path, codes: dict[int, int]) -> Exception:
    """Return an error for processes that reported nothing for the user, from their exit codes."""
    for report in _read_reports(folder):
        return RuntimeError(f"a training process failed:\n{report['text']}")
    if -signal.SIGTERM in codes.values():
        return Interruption(f"stopped, since a process got SIGTERM; {RESUME_HINT}")
    return RuntimeError(f"training processes ended with exit codes {codes} and no report")


def _read_reports(folder: Path) -> list[dict[str, Any]]:
    """Return the reports that processes wrote when they ended, in the order of their ends."""
    files = sorted(folder.glob(REPORT_FILE.format("*")), key=lambda file: file.stat().st_mtime_ns)
    return [read_json(file) for file in files]


@contextmanager
def _raise_on_signals() -> Iterator[None]:
    """Turn signals into exceptions before the launcher does; restore the handlers afterwards."""
    from torch.distributed.elastic.multiprocessing import SignalException

    def on_signal(number: int, frame: FrameType | None) -> NoReturn:
        raise SignalException("", signal.Signals(number))

    numbers = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT
    is_main = threading.current_thread() is threading.main_thread()  # others cannot set handlers
    handlers = {number: signal.signal(number, on_signal) for number in numbers if is_main}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _pass_streams() -> Iterator[None]:
    """Let the processes write to this one's stderr, perhaps a rule's log, and silence this one."""
    stderr = os.dup(2)
    with suppress(OSError):  # the stream may be no file
        os.dup2(sys.stderr.fileno(), 2)
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        os.dup2(stderr, 2)
        os.close(stderr)
