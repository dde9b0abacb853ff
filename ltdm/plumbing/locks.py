"""One writer a folder, also across machines that share it.

The operating system frees a lock when its process ends, however it ends: a lock is never stale.
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
TIMEOUT = 60.0  # seconds; one that was told to stop saves its state in that time
NO_LOCK_ERRNOS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""What a file system says that has no locks."""


class LockHeld(LtdmError):
    """Another process holds the lock."""


@contextmanager
def exclusive(folder: Path, timeout: float = TIMEOUT) -> Iterator[None]:
    """Hold a folder's lock; wait `timeout` seconds for one that another process holds."""
    file = Path(folder) / "lock"
    lock = FileLock(file, thread_local=False, fallback_to_soft=False, on_acquired=_write_holder)
    deadline, told = time.monotonic() + timeout, False
    while not _try_lock(lock):
        if time.monotonic() >= deadline:
            raise LockHeld(
                f"{_describe_holder(file)} is still writing to {folder}; let it end or end it, then"
                " run the same command again"
            )
        if not told:
            log.info("waiting for %s, which still writes to %s", _describe_holder(file), folder)
            told = True
        time.sleep(0.2)
    try:
        yield
    finally:
        lock.release()


def _try_lock(lock: BaseFileLock) -> bool:
    """Try once to take a lock, and say whether it is ours.

    FileLock's own waiting would fail where the holder removes the folder meanwhile.
    """
    try:
        lock.acquire(blocking=False)
    except (Timeout, FileNotFoundError):
        return False
    except OSError as error:
        if error.errno not in NO_LOCK_ERRNOS:
            raise LtdmError(f"cannot write {lock.lock_file}: {error.strerror}") from error
        said = "%s: this file system has no locks; let one job at a time write there"
        log.warning(said, lock.lock_file)
    return True


def _write_holder(descriptor: int) -> None:
    """Say in a lock's file which process holds it."""
    with suppress(OSError):  # it only informs; a disk may be full
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(process_info()).encode())


def _describe_holder(file: Path) -> str:
    """Say which process holds a lock, as far as it says so itself."""
    try:
        who = json.loads(file.read_text(encoding="utf-8"))
        job = f"Slurm job {who['job']}, " if who["job"] else ""
        return f"{job}process {who['pid']} on {who['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
