"""Time, operations and kernels of calls on a device."""

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

Call = Callable[[], Any]
KERNEL_KINDS = {
    "convolution": (
        "conv",
        "cudnn",
        "implicit",
        "xmma",
        "wgrad",
        "dgrad",
        "cutlass",
        "gemm",
        "nvjet",
    ),
    "attention": ("flash", "fmha", "sdpa"),
    "layout": ("nchwtonhwc", "nhwctonchw", "transpose"),
    "norm": ("norm", "moments"),
    "optimiser": ("multi_tensor", "foreach"),
    "copy": ("copy",),
    "triton": ("triton",),
}
"""Parts of kernels' names by kind of kernel; the first match counts."""


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def median_ms(
    call: Call, device: torch.device, times: int = 20, seconds: float = 3.0, warm: int = 1
) -> float:
    """Return the median milliseconds of a call, over `times` calls or as many as `seconds` allow.

    On a GPU, events on its stream measure them, so they include its waiting for the host.
    """
    for _ in range(warm):
        call()
    synchronize(device)
    started, marks = time.perf_counter(), [_mark(device)]
    for _ in range(times):
        call()
        marks.append(_mark(device))
        if time.perf_counter() - started > seconds:
            break
    synchronize(device)
    spans = pairwise(marks)
    if device.type == "cuda":
        return statistics.median(start.elapsed_time(end) for start, end in spans)
    return 1e3 * statistics.median(end - start for start, end in spans)


def _mark(device: torch.device) -> Any:
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def host_ms(call: Call, device: torch.device, times: int = 5) -> float:
    """Return the milliseconds that the host takes for a call.

    A full queue may delay the host if the GPU is far slower.
    """
    synchronize(device)
    started = time.perf_counter()
    for _ in range(times):
        call()
    elapsed = time.perf_counter() - started
    synchronize(device)
    return 1e3 * elapsed / times


def peak_gib(device: torch.device) -> float | None:
    """Return the peak of allocated memory since the last `reset_peak`, in GiB; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None


def reset_peak(device: torch.device) -> None:
    """Free cached memory and reset its peak."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


class OperationCounter(TorchDispatchMode):
    """Counts the operations that PyTorch dispatches within a block, as `number`.

    Views and allocations do not count, since they launch no kernel.
    """

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        """Count and run an operation."""
        views = any(r.alias_info and not r.alias_info.is_write for r in function._schema.returns)
        self.number += not views and "empty" not in function.name()
        return function(*args, **(kwargs or {}))


def profile_kernels(
    call: Call, device: torch.device, name: str, file: Path, times: int = 1
) -> dict:
    """Return the number of kernels of a call and their milliseconds; add the longest to a file."""
    if device.type != "cuda":
        return {}
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        for _ in range(times):
            call()
        synchronize(device)
    spent: dict[str, list[float]] = defaultdict(list)
    for event in profiler.events():
        if event.device_type == torch.autograd.DeviceType.CUDA and is_kernel(event):
            spent[event.name].append(event.time_range.elapsed_us() / 1e3)
    kinds: Counter[str] = Counter()
    for kernel, each in spent.items():
        kinds[kind_of(kernel)] += sum(each) / times
    number, busy = sum(map(len, spent.values())) // times, sum(map(sum, spent.values())) / times
    with open(file, "a", encoding="utf-8") as to:
        to.write(f"\n{name}: {number} kernels, {busy:.2f} ms\n")
        for kernel, each in sorted(spent.items(), key=lambda item: -sum(item[1]))[:40]:
            to.write(f"{sum(each) / times:8.3f} ms {len(each) // times:6d} x  {kernel[:150]}\n")
    return {"kernels": number, "busy_ms": busy, **{f"{k}_ms": v for k, v in kinds.most_common()}}


def is_kernel(event: Any) -> bool:
    """Whether an event on the GPU is a kernel, not a copy or an annotation."""
    other = "Memcpy", "Memset", "Optimizer.", "ProfilerStep", "Torch-Compiled", "##", "Compiled"
    return not getattr(event, "is_user_annotation", False) and not event.name.startswith(other)


def kind_of(kernel: str) -> str:
    """Return the kind of a kernel by its name."""
    low = kernel.lower()
    if low.startswith("triton"):
        return "triton"
    return next((k for k, parts in KERNEL_KINDS.items() if any(p in low for p in parts)), "rest")
