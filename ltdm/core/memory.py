"""The main memory that this machine has left."""

import math
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)
"""Files of a container's limit and use in bytes, of the two versions of control groups."""


def available_bytes() -> float:
    """Return the bytes that a process can still take; infinity where the system does not say.

    It is the lower of the machine's and the container's.
    """
    lines = [line.split() for line in _read(MEMINFO).splitlines()]
    available = [1024.0 * int(words[1]) for words in lines if words[0] == "MemAvailable:"]
    for limit, used in (map(_read, map(Path, files)) for files in LIMITS):
        if limit.strip().isdecimal() and used.strip().isdecimal():
            available.append(float(limit) - float(used))
    return min(available, default=math.inf)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
