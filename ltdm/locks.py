"""One writer a folder, also across machines that share it.

The operating system frees a lock when its process ends, however it ends: a lock is never stale.
"""

import errno
import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ltdm.errors import LtdmError
from ltdm.slurm import here

log = logging.getLogger("ltdm")
PATIENCE = 60.0  # seconds; one that was told to stop saves its state in that time
UNKNOWN = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""What a file system says that has no locks."""


class Held(LtdmError):
    """Another process holds the lock."""


@contextmanager
def alone(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold a folder's lock; one that another process holds is waited for a while.

    Raises:
        Held: Another process still writes there.
    """
    file = Path(folder) / "lock"
    deadline, told = time.monotonic() + patience, False
    while (held := _take(file)) is None:
        if time.monotonic() >= deadline:
            raise Held(
                f"{_holder(file)} is still writing to {folder}; let it end or end it, then run the"
                " same command again"
            )
        if not told:
            log.info("waiting for %s, which still writes to %s", _holder(file), folder)
            told = True
        time.sleep(0.2)
    try:
        with suppress(OSError):  # who holds it is only told; a disk may be full
            os.ftruncate(held, 0)
            os.write(held, json.dumps(here()).encode())
        yield
    finally:
        os.close(held)


def _take(file: Path) -> int | None:
    """Lock a file; return its descriptor, or None where another process has it locked."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise LtdmError(f"cannot write {file}: {error.strerror}") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return None
    except OSError as error:
        if error.errno not in UNKNOWN:
            os.close(held)
            raise
        log.warning("%s: this file system has no locks; let one job at a time write there", file)
        return held
    with suppress(FileNotFoundError):
        if os.fstat(held).st_ino == os.stat(file).st_ino:
            return held
    os.close(held)  # its holder has removed it in the meantime
    return None


def _holder(file: Path) -> str:
    """Say which process holds a lock, as far as it says so itself."""
    try:
        who = json.loads(file.read_text(encoding="utf-8"))
        job = f"Slurm job {who['job']}, " if who["job"] else ""
        return f"{job}process {who['pid']} on {who['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
