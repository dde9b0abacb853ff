"""The frame of every workflow script around its one call: log, device, and the final message.

Snakemake limits the numerical libraries to the rule's threads, by environment variables.
"""

import atexit
import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from ltdm.pipeline import snapshot
from ltdm.pipeline.code_check import check_code
from ltdm.pipeline.failures import MARK
from ltdm.pipeline.gpu_slots import assign_gpus
from ltdm.plumbing.errors import Interruption, LtdmError
from ltdm.plumbing.slurm import requeue

log = logging.getLogger("ltdm")


def run_stage(snakemake: Any, module: str, function: str = "run") -> None:
    """Run a function of a module of ltdm, such as `stages.train`, in the frame of a job.

    Python looks for no garbage while modules are imported, nor among them afterwards; and the
    process ends without taking them apart. With PyTorch that saves 0.9 of 2.2 CPU-seconds.
    """
    with job(snakemake) as files:
        gc.disable()
        stage = import_module(f"ltdm.{module}")
        gc.freeze()
        gc.enable()
        getattr(stage, function)(snakemake.params.request, **files)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


@contextmanager
def job(snakemake: Any) -> Iterator[dict[str, Any]]:
    """Run a rule's script: yield its files by keyword, and write its output to the rule's log.

    After an exception the process exits with one sentence, in the terminal and as the log's last
    line, with a traceback in the log if it is no LtdmError, and with `Interruption.STATUS` if the
    job can be resumed.
    """
    path = snakemake.log[0]
    with (
        _explain_log_errors(path),
        open(path, "w", buffering=1, encoding="utf-8", errors="backslashreplace") as file,
        redirect_stderr(file),
        redirect_stdout(file),
    ):
        line_format = "%(asctime)s %(message)s"
        logging.basicConfig(stream=file, level=logging.INFO, format=line_format, force=True)
        logging.captureWarnings(True)
        gpus = snakemake.resources.get("gpu", 0)
        run_snapshot = snapshot.load()
        is_submitted = (run_snapshot or {}).get("cluster")  # else it runs beside Snakemake
        if is_submitted:  # a job must use the GPU that it was given, and no other
            os.environ.setdefault("LTDM_DEVICE", "cuda" if gpus else "cpu")
        try:
            code = snakemake.params.request["code"]
            check_code(run_snapshot, snakemake.rule, dict(snakemake.wildcards.items()), code)
            with assign_gpus(gpus):
                yield _files(snakemake)
        except Interruption as interruption:
            log.warning("%s", interruption)  # a requeue may end this process at once
            if is_submitted and interruption.should_requeue and requeue():
                log.warning("the job is back in Slurm's queue")
            _exit_with_message(interruption, path, Interruption.STATUS)
        except LtdmError as error:
            _exit_with_message(error, path)
        except Exception as error:
            log.exception("this is a bug in ltdm")
            what = type(error).__name__
            _exit_with_message(f"a bug in ltdm, {what}: please report it with this log", path)


@contextmanager
def _explain_log_errors(path: str) -> Iterator[None]:
    """Exit with one sentence in the terminal if a job's log cannot be written."""
    try:
        yield
    except OSError as error:
        reason = f"cannot write {path}: {error.strerror}; fix that and run the same command again"
        print(f"{MARK}{reason}", file=sys.__stderr__, flush=True)
        sys.exit(1)


def _files(snakemake: Any) -> dict[str, Any]:
    """Return a job's files by keyword: a path, a list of paths, or None for an empty list."""
    named = [*snakemake.input.items(), *snakemake.output.items()]
    paths = {name: Path(v) if isinstance(v, str) else [*map(Path, v)] for name, v in named}
    return {name: files or None for name, files in paths.items()}


def _exit_with_message(sentence: object, log_path: str, status: int = 1) -> NoReturn:
    """Print why the job ends, in one line of its log and of the terminal, and exit."""
    line = f"{MARK}{sentence}"
    with suppress(OSError):  # a full disk
        print(line, flush=True)
    print(f"{line} (log: {log_path})", file=sys.__stderr__, flush=True)
    sys.exit(status)
