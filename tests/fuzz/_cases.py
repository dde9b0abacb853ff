"""Cases of one kind, run one after the other in a process of their own, and how each ended.

A kind is a module of this folder without a leading underscore. Its function `attempt(rng, folder)`
makes one case in an empty folder, runs ltdm on it, and returns a description. A kind may have
`set_up(folder)`, called once in the process, whose folder stays while cases run, and `CUT`, the
number of its cases in the tests.
"""

import contextlib
import faulthandler
import io
import multiprocessing
import os
import pkgutil
import resource
import shutil
import stat
import traceback
import warnings
import zlib
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest import mock

import click
import numpy as np
import torch

from ltdm.plumbing.errors import MAX_LENGTH, LtdmError
from tests import fuzz

MAX_SECONDS = 30.0
"""Seconds after which a case hangs."""
SET_UP_SECONDS = 300.0
MAX_BYTES = 4 << 30
"""Memory that a case's process may allocate."""
NO_SENTENCE = ("Traceback", "Error(", " object at 0x", "allow_pickle", "<class '")
"""Words of Python that no message holds."""
PROCESSES = multiprocessing.get_context("fork")


class Outcome(NamedTuple):
    """How a case ended: "accepted", "refused" or "fault", and its description or message."""

    case: int
    end: str
    text: str


def kinds() -> list[str]:
    """Return the names of all kinds."""
    names = (module.name for module in pkgutil.iter_modules(fuzz.__path__))
    return sorted(name for name in names if name[0] != "_")


def load_kind(name: str) -> ModuleType:
    """Return the module of a kind."""
    return import_module(f"tests.fuzz.{name}")


def run_case(kind: str, seed: int, case: int, folder: Path) -> Outcome:
    """Run one case in an empty folder, which is left there."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), case])
    faulthandler.dump_traceback_later(MAX_SECONDS - 5)  # where it hangs
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            mock.patch.dict(os.environ, {"LTDM_DEVICE": "cpu"}),  # options of a case change it
        ):
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.filterwarnings("ignore", module=r"tests\.")  # of what makes the case
            with contextlib.redirect_stdout(io.StringIO()):
                end, text = "accepted", load_kind(kind).attempt(rng, folder)
    except (LtdmError, click.ClickException) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        problem = describe_problem(text)
        end, text = ("fault", f"{problem}: {text!r}") if problem else ("refused", text)
    except (Exception, SystemExit):
        end, text = "fault", traceback.format_exc()
    finally:
        faulthandler.cancel_dump_traceback_later()
    if caught and end != "fault":
        end, text = "fault", f"{caught[0].filename}:{caught[0].lineno} warns: {caught[0].message}"
    return Outcome(case, end, text)


def describe_problem(message: str) -> str:
    """Return what is wrong with a message that a user would read; empty if nothing is."""
    if not message.strip():
        return "an empty message"
    if not message.isprintable():
        return "a message of several lines, or with control characters"
    if len(message) > MAX_LENGTH:
        return f"a message of {len(message)} characters"
    words = [word for word in NO_SENTENCE if word in message]
    return f"a message with {words[0]!r}" if words else ""


class Worker:
    """A process that runs cases of one kind; it is replaced after one that hangs or crashes."""

    def __init__(self, kind: str, seed: int, root: Path):
        self.kind, self.seed, self.root = kind, seed, root
        self._start()

    def _start(self) -> None:
        self.connection, theirs = PROCESSES.Pipe()
        arguments = (self.kind, self.seed, self.root, theirs)
        self.process = PROCESSES.Process(target=_work, args=arguments)
        self.process.start()
        theirs.close()
        if not self.connection.poll(SET_UP_SECONDS):
            raise TimeoutError(f"the kind {self.kind} is not set up in {SET_UP_SECONDS:.0f} s")
        try:
            self.connection.recv()
        except EOFError as error:
            raise RuntimeError(f"cannot set {self.kind} up: {self.root}/{self.kind}.log") from error

    def run(self, case: int) -> Outcome:
        """Run a case; the folder of a faulty one is kept, with the fault in a file beside it."""
        self.connection.send(case)
        try:
            if self.connection.poll(MAX_SECONDS):
                outcome = self.connection.recv()
            else:
                outcome = Outcome(case, "fault", f"took longer than {MAX_SECONDS:.0f} s")
        except EOFError:
            self.process.join()
            outcome = Outcome(case, "fault", f"crashed with status {self.process.exitcode}")
        if outcome.end == "fault":
            folder = case_folder(self.root, self.kind, self.seed, case)
            folder.with_suffix(".txt").write_text(outcome.text, errors="backslashreplace")
        if outcome.text.startswith(("took longer", "crashed")):
            self.stop()
            self._start()
        return outcome

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.connection.close()
        remove(self.root / self.kind)


def _work(kind: str, seed: int, root: Path, connection: Connection) -> None:
    """Run the cases whose numbers arrive, and send their outcomes."""
    root.mkdir(parents=True, exist_ok=True)
    printed = os.open(root / f"{kind}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):  # what Snakemake and C libraries print
        os.dup2(printed, stream)
    torch.set_num_threads(1)
    os.environ["LTDM_DEVICE"] = "cpu"
    if set_up := getattr(load_kind(kind), "set_up", None):
        set_up(new_folder(root / kind))
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_BYTES, MAX_BYTES))
    connection.send("ready")
    while True:
        try:
            case = connection.recv()
        except EOFError:
            return
        folder = new_folder(case_folder(root, kind, seed, case))
        outcome = run_case(kind, seed, case, folder)
        if outcome.end != "fault":
            remove(folder)
        connection.send(outcome)


def case_folder(root: Path, kind: str, seed: int, case: int) -> Path:
    """Return the folder of a case."""
    return root / f"{kind}-{seed}-{case}"


def new_folder(folder: Path) -> Path:
    """Return a folder after emptying it."""
    remove(folder)
    folder.mkdir(parents=True)
    return folder


def remove(folder: Path) -> None:
    """Remove a folder, if it is there, and all in it, whatever its permissions are."""
    for path, _, _ in os.walk(folder):
        os.chmod(path, stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)
