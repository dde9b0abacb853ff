"""Snakemake in forks of a process that has imported its libraries: 1 s to start, not 5 s."""

import multiprocessing
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

SERVER = multiprocessing.get_context("forkserver")
# Not ltdm, of which each checkout has its own.
SERVER.set_forkserver_preload(
    [
        "torch",
        "pandas",
        "scipy.linalg",
        "scipy.special",
        "snakemake.cli",
        "snakemake.report.html_reporter",
        "snakemake.storage",
        "smart_open",
        "nbformat",
    ]
)
SECONDS = 300


def snakemake(
    arguments: list[str], folder: Path, environment: dict[str, str], python: str = sys.executable
) -> tuple[int, str]:
    """Run Snakemake in a folder to its end; return its exit status and its output.

    `python` is the path by which its jobs start Python.
    """
    with TemporaryDirectory() as scratch:
        printed = Path(scratch, "printed")
        process = SERVER.Process(
            target=_run, args=(arguments, folder, environment, python, printed)
        )
        process.start()
        process.join(SECONDS)
        process.kill()  # if it still runs
        process.join()
        return process.exitcode, printed.read_text(encoding="utf-8", errors="replace")


def _run(
    arguments: list[str], folder: Path, environment: dict[str, str], python: str, printed: Path
) -> None:
    with printed.open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.executable = ["snakemake", *arguments], python
    assert "ltdm" not in sys.modules
    from snakemake.cli import main

    main(arguments)
