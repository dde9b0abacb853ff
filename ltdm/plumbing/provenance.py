"""What made a result: versions, commit, machine."""

import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ltdm


def versions() -> dict[str, str]:
    """Return the versions of Python, ltdm and the packages that numbers depend on."""
    found = {"python": platform.python_version(), "ltdm": ltdm.__version__}
    for package in ("torch", "numpy", "scipy", "scikit-learn"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def commit() -> str | None:
    """Return the checkout's git commit, with "+changes" if files differ from it.

    None where the package is no part of a checkout, though it may lie inside another one.
    """
    folder = Path(ltdm.__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", ".") else "")
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None
