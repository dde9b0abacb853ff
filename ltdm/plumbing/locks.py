"""A lock file per folder, so that one process writes there, also across machines that share it.

The operating system frees a lock when its process ends in any way, so no lock is ever stale.
"""

import errno
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.slurm import process_info

log = logging.getLogger("ltdm")
TIMEOUT = 60.0  # seconds, in which a process that got a signal to stop saves its state
NO_LOCK_ERRNOS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""Errors by which a file system says that it has no locks."""


class LockHeld(LtdmError):
    """Another process holds the lock."""


@contextmanager
def exclusive(folder: Path, timeout: float = TIMEOUT) -> Iterator[None]:
    """Hold a folder's lock during the context, after waiting up to `timeout` seconds for it.

    On a file system without locks this only logs a warning.

    Raises:
        LockHeld: Another process still holds the lock.
        LtdmError: The lock's file cannot be written.
    """
    file = Path(folder) / "lock"
    lock = FileLock(file, thread_local=False, fallback_to_soft=False, on_acquired=_write_holder)
    deadline, reported = time.monotonic() + timeout, False
    while not _try_lock(lock):
        if time.monotonic() >= deadline:
            raise LockHeld(
                f"{_describe_holder(file)} is still writing to {folder}; wait until it ends or stop"
                " it, then run the same command again"
            )
        if not reported:
            log.info("waiting for %s, which still writes to %s", _describe_holder(file), folder)
            reported = True
        time.sleep(0.2)
    try:
        yield
    finally:
        lock.release()


def _try_lock(lock: BaseFileLock) -> bool:
    """Try once to acquire a lock, and return whether this process may write.

    FileLock's own waiting would fail where the holder removes the folder meanwhile.
    """
    try:
        lock.acquire(blocking=False)
    except (Timeout, FileNotFoundError):
        return False
    except OSError as error:
        if error.errno not in NO_LOCK_ERRNOS:
            raise LtdmError(f"cannot write {lock.lock_file}: {error.strerror}") from error
        warning = "%s: this file system has no locks; run only one job at a time that writes there"
        log.warning(warning, lock.lock_file)
    return True


def _write_holder(descriptor: int) -> None:
    """Write into an acquired lock's file which process holds it."""
    with suppress(OSError):  # it only informs; a disk may be full
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(process_info()).encode())


def _describe_holder(file: Path) -> str:
    """Return the process that holds a lock in words, from what it wrote into the lock's file."""
    try:
        holder = json.loads(file.read_text(encoding="utf-8"))
        job = f"Slurm job {holder['job']}, " if holder["job"] else ""
        return f"{job}process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
