"""The main memory that this machine has left."""

import math
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CONTROL_GROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)
"""Of the two versions of control groups: the folder, the files of a container's limit and use in
bytes, and the name in memory.stat of the part of its use that the system frees when it is needed.
"""


def available_bytes() -> float:
    """Return the bytes that a process can still take; infinity where the system does not say.

    It is the lower of the machine's and the container's.
    """
    available = [1024 * kilobytes for kilobytes in _entries(MEMINFO, "MemAvailable:")]
    for folder, *names, cache in CONTROL_GROUPS:
        limit, used = (_read(folder / name).strip() for name in names)
        if limit.isdecimal() and used.isdecimal():
            freeable = sum(_entries(folder / "memory.stat", cache))
            available.append(float(limit) - float(used) + freeable)
    return min(available, default=math.inf)


def _entries(file: Path, name: str) -> list[float]:
    """Return the number beside a name in a file of names and numbers; nothing if it lacks it."""
    lines = map(str.split, _read(file).splitlines())
    return [float(words[1]) for words in lines if words[:1] == [name]]


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
