"""Provenance of a result: versions of the packages and the commit of the checkout."""

import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ltdm


def versions() -> dict[str, str]:
    """Return the versions of Python, ltdm and the packages on which numbers depend."""
    result = {"python": platform.python_version(), "ltdm": ltdm.__version__}
    for package in ("torch", "numpy", "scipy", "scikit-learn"):
        with suppress(PackageNotFoundError):
            result[package] = version(package)
    return result


def commit() -> str | None:
    """Return the checkout's git commit, with "+changes" if files differ from it.

    None if the package is not part of a checkout of ltdm, even if it lies in another checkout.
    """
    folder = Path(ltdm.__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return (
            subprocess.run(command, capture_output=True, check=True)
            .stdout.decode(errors="replace")
            .strip()
        )

    try:
        git("ls-files", "--error-unmatch", "__init__.py")
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", ".") else "")
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None
