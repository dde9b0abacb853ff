"""Python in forks of a process that has imported the heavy libraries: 0.1 s to start, not 2.

`Forks.run` runs a module, and the programs of `Forks.programs` stand for Python and Snakemake.
This file is also the server and these programs, so it imports little.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from tempfile import TemporaryDirectory, TemporaryFile

PRELOAD = (
    # Not ltdm, of which each checkout has its own.
    "torch._dynamo",
    "pandas",
    "scipy.linalg",
    "scipy.special",
    "scipy.optimize",
    "sklearn.datasets",
    "matplotlib.pyplot",
    "altair",
    "snakemake.cli",
    "snakemake.report.html_reporter",
    "snakemake.storage",
    "smart_open",
    "nbformat",
)
SECONDS = 300  # after which a process is killed


class Forks:
    """A server that forks, until its owner ends."""

    def __init__(self):
        self._folder = TemporaryDirectory()
        folder = self._folder.name
        self.address, self.programs = f"{folder}/socket", f"{folder}/programs"
        self.python = f"{self.programs}/python"
        os.mkdir(self.programs)
        ask = f'exec "{sys.executable}" -ISE "{__file__}" "{self.address}"'
        self._write_program("python", f'{ask} "{sys.executable}"')
        self._write_program("snakemake", f'{ask} "{self.python}" -m snakemake')
        self._server = subprocess.Popen(
            [sys.executable, __file__, self.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._server.stdout.read(1), "it did not start"

    def _write_program(self, name: str, command: str) -> None:
        path = f"{self.programs}/{name}"
        with open(path, "w") as file:
            file.write(f'#!/bin/sh\n{command} "$@"\n')
        os.chmod(path, 0o755)

    def run(
        self, *arguments: str, folder: str, environment: dict[str, str], python: str
    ) -> tuple[int, str]:
        """Run Python with these arguments; return its exit status and its output.

        `python` is what it takes for its own path.
        """
        with TemporaryFile("w+", encoding="utf-8", errors="replace") as printed:
            streams = (0, printed.fileno(), printed.fileno())
            request = {
                "arguments": arguments,
                "folder": folder,
                "environment": environment,
                "python": python,
            }
            status = ask(self.address, request, streams)
            printed.seek(0)
            return status, printed.read()


def ask(address: str, request: dict, streams: tuple[int, int, int]) -> int:
    """Let the server run Python; return its exit status, or minus the signal that ended it.

    If this process dies, it is killed.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        connection.connect(address)
        reader, writer = os.pipe()
        socket.send_fds(connection, [b"run"], [*streams, reader])
        os.close(reader)
        with open(writer, "w") as file:
            json.dump(request, file)
        return int(connection.recv(16))


def serve(address: str) -> None:
    """Import the libraries, and fork for each connection until stdin ends."""
    import gc
    import importlib

    for name in PRELOAD:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no child is waited for
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        os.write(1, b"1")
        while sys.stdin.fileno() not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _supervise(connection)
            connection.close()


def _supervise(connection: socket.socket) -> None:
    """Run what a connection asks for, in a fork; send its exit status, or kill it if unwanted."""
    _, (*streams, request), _, _ = socket.recv_fds(connection, 16, 4)
    with open(request) as file:
        asked = json.load(file)
    child = os.fork()
    if child == 0:
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        _run(**asked)
    ended = os.pidfd_open(child)
    if connection in select.select([ended, connection], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        connection.send(str(status).encode())
    finally:
        os._exit(0)


def _run(arguments: list[str], folder: str, environment: dict[str, str], python: str) -> None:
    """Do what `python ARGUMENTS` does in a folder, and end this process."""
    import atexit
    import runpy
    import tempfile
    import threading
    import traceback

    import torch

    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.executable, tempfile.tempdir = python, None
    if "OMP_NUM_THREADS" in environment:  # which is read when a library is loaded
        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    assert "ltdm" not in sys.modules
    sys.path[1:1] = filter(None, environment.get("PYTHONPATH", "").split(":"))
    status = 0
    try:
        if arguments[0] == "-m":
            sys.argv, sys.path[0] = arguments[1:], ""
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = arguments, os.path.dirname(arguments[0])
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        status = end.code or 0
        if isinstance(status, str):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(sys.argv[1])
    else:
        address, python, *arguments = sys.argv[1:]
        request = {
            "arguments": arguments,
            "folder": os.getcwd(),
            "environment": dict(os.environ),
            "python": python,
        }
        status = ask(address, request, (0, 1, 2))
        if status < 0:
            os.kill(os.getpid(), -status)  # as its own process would have ended
        sys.exit(status)
