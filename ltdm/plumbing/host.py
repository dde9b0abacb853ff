"""What the workflow needs of its machine: a path that works, folders to write to, a terminal.

`python -m ltdm.plumbing.host` checks the path of the current folder; this module imports no
other package, since `make setup` runs it first.
"""

import os
import re
import sys
from io import TextIOWrapper
from pathlib import Path

from ltdm.plumbing.errors import LtdmError

UNUSABLE_SIGNS = re.compile(r"[:{}\x00-\x1f\x7f\ud800-\udfff]")
"""A colon separates the folders of PYTHONPATH, Snakemake replaces what is in braces, a line break
ends a path in Python's .pth files; a surrogate stands for a byte that is not UTF-8."""
CACHE_VARIABLE = "XDG_CACHE_HOME"


def check_checkout(folder: str) -> None:
    """Refuse a checkout under a path that Snakemake or Python cannot use.

    Raises:
        LtdmError: The path has one of UNUSABLE_SIGNS.
    """
    if found := UNUSABLE_SIGNS.search(folder):
        raise LtdmError(
            f"the path of the checkout, {folder!a}, has {found[0]!a}, with which Python"
            " or Snakemake cannot work; move the checkout to a path without it"
        )


def export_to_jobs(folder: str) -> None:
    """Make the jobs that Snakemake starts import `folder`'s ltdm before an installed one.

    Under every locale, they also read and write paths and texts in UTF-8.
    """
    os.environ["PYTHONUTF8"] = "1"
    paths = [folder, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, dict.fromkeys(paths)))


def check_work_folder(folder: Path) -> None:
    """Refuse a folder in which Snakemake cannot keep its notes.

    Raises:
        LtdmError: The folder is not writable.
    """
    notes = folder / ".snakemake"
    if not os.access(notes if notes.exists() else folder, os.W_OK | os.X_OK):
        raise LtdmError(
            f"you cannot write to {folder}; name a folder of your own with `--directory FOLDER`,"
            " which will hold results/ and data/"
        )


def user_cache() -> Path:
    """Return the folder of the user's caches; raises RuntimeError if there is no home."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache")


def ensure_cache(folder: Path) -> None:
    """Let this process and its children cache in `folder` if the user's own cache takes no files.

    Then the home is missing, is read-only, or belongs to another user. Snakemake on a node of a
    cluster and Matplotlib write there.
    """
    try:
        own = user_cache()
        own.mkdir(parents=True, exist_ok=True)
        is_writable = os.access(own, os.W_OK | os.X_OK)
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        is_writable = False
    if not is_writable:
        os.environ[CACHE_VARIABLE] = str(Path(folder).resolve())
        os.environ.setdefault("MPLCONFIGDIR", str(Path(folder).resolve() / "matplotlib"))


def replace_signs() -> None:
    """Print signs that the terminal's encoding lacks as `?`, rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # None if it is closed
            stream.reconfigure(errors="replace")


if __name__ == "__main__":
    try:
        check_checkout(os.getcwd())
    except LtdmError as error:
        sys.exit(f"ltdm: {error}")
