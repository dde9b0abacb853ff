"""Cost of a training step by method: eager, as one graph, compiled; by size; by attention."""

import gc
import time
from functools import lru_cache
from typing import Any

import torch

from ltdm.training.graph import WARMUP_CALLS, StepGraph
from ltdm.training.loop import Trainer
from tests.gpu.setting import VARIANTS, Setting
from tests.gpu.steps import FASTEST
from tests.gpu.timing import (
    OperationCounter,
    host_ms,
    median_ms,
    peak_gib,
    profile_kernels,
    reset_peak,
    synchronize,
)

RUNS = ("ddpm", "cbdm", "oclt", "ccua", "agc", "coral", "cm", "cm-shared")
RUNS += ("igd-shared", "igd-separate", "igd-released")
LARGEST = "igd-released"
"""It has ten times the kernels of the others, so as a graph it comes last."""
PROFILED = (
    "ddpm, eager",
    "ddpm, one graph",
    "ddpm, compiled, one graph",
    "cbdm, one graph",
    "igd-separate, one graph",
    "edm2-e, eager",
    "edm2-e, compiled",
)


def time_methods(setting: Setting) -> None:
    """Time every method launched kernel by kernel, and as one graph."""
    for run in RUNS:
        time_steps(setting, run, "eager")
        if run != LARGEST and (setting.gpu or run == "ddpm"):  # on a CPU both are the same
            time_steps(setting, run, "one graph")


def time_compiled(setting: Setting) -> None:
    """Time the code that earlier steps have compiled."""
    time_steps(setting, "ddpm", FASTEST)
    for run in () if setting.tiny else ("ddpm", "cbdm"):
        time_steps(setting, run, "compiled")
        time_steps(setting, run, "compiled, one graph")


def time_edm2(setting: Setting) -> None:
    """Time EDM2 at the batch size of its protocol."""
    for run in ("edm2-c", "edm2-e", "edm2-g"):
        time_steps(setting, run, "eager")
    if not setting.tiny:  # on a CPU, tracing the U-Net has shown as much
        time_steps(setting, "edm2-e", "compiled")


def time_sizes(setting: Setting) -> None:
    """Time larger batches, cuDNN's search for kernels, and its attention."""
    for batch in (24,) if setting.tiny else (128, 256, 512):
        time_steps(setting, "ddpm", "one graph", batch)
    torch.backends.cudnn.benchmark = True
    time_steps(setting, "ddpm", "one graph", also="cudnn.benchmark")
    torch.backends.cudnn.benchmark = False
    for on in (False, True):
        torch.backends.cuda.enable_cudnn_sdp(on)
        time_steps(setting, "cbdm", "eager", also=f"attention by {'cuDNN' if on else 'flash'}")
    torch.backends.cuda.enable_cudnn_sdp(False)


def time_rest(setting: Setting) -> None:
    """Compile and time the other methods while there is time."""
    if setting.tiny:
        setting.rows.add("the other methods, compiled", **setting.needs)
        return
    time_steps(setting, LARGEST, "one graph")
    for run in ("oclt", "agc", "edm2-c", "edm2-g", "ccua", "igd-shared"):
        time_steps(setting, run, "compiled" if run.startswith("edm2") else "compiled, one graph")


def fill_compiler_cache(setting: Setting, run: str, variant: str) -> None:
    """Make some training steps, so that later steps find their code in the compiler's cache."""
    what = f"{run}, {variant}"
    with setting.rows.attempt(what):
        learner = setting.subject(run).learner(**VARIANTS[variant])
        first = time.perf_counter()
        for _ in range(WARMUP_CALLS + 1):
            learner.step()
        synchronize(setting.device)
        setting.rows.add(what, first_updates_s=time.perf_counter() - first, **_compiler(setting))


def time_steps(
    setting: Setting, run: str, variant: str, batch: int | None = None, also: str = ""
) -> None:
    """Time training steps of a run, and count their operations and kernels."""
    name = ", ".join(filter(None, [run, variant, f"batch {batch}" if batch else "", also]))
    with setting.rows.attempt(name):
        reset_peak(setting.device)
        options = VARIANTS[variant] | ({"batch_size": batch} if batch else {})
        figures = _figures(setting, name, setting.subject(run).learner(**options), options)
        figures["tflops"] = figures["img_per_s"] * _operations(setting, run) / 1e12
        figures |= setting.needs if options["graph"] == "auto" else {}
        figures |= _compiler(setting) if options["compile"] else {}
        setting.rows.add(name, **figures)
    gc.collect()
    reset_peak(setting.device)


def _figures(
    setting: Setting, name: str, learner: Trainer, options: dict[str, Any]
) -> dict[str, Any]:
    """Return the cost of a training step, and of the first ones, which compile and capture."""
    device, started, figures = setting.device, time.perf_counter(), {}
    for _ in range(1 if setting.tiny else WARMUP_CALLS + 2):
        learner.step()
    synchronize(device)
    figures["first_updates_s"] = time.perf_counter() - started
    if isinstance(learner.run_device_step, StepGraph):
        figures["bad"] = learner.run_device_step.graph is None
    ms = median_ms(learner.step, device, 2 if setting.tiny else 20)
    size = learner.batches.size
    figures |= {
        "batch_size": size,
        "ms": ms,
        "img_per_s": 1e3 * size / ms,
        "host_ms": host_ms(learner.step, device, 1 if setting.tiny else 5),
        "peak_gib": peak_gib(device),
        "loss": float(learner.loss_sums["loss"]) / learner.step_count,
    }
    if not options["compile"] and options["graph"] == "none":
        with OperationCounter() as counter:
            learner.step()
        figures["operations"] = counter.number
    if name in PROFILED:
        figures |= profile_kernels(learner.step, device, name, setting.out / "profile.txt")
    return figures


@lru_cache
def _operations(setting: Setting, run: str) -> float:
    return setting.subject(run).operations()


def _compiler(setting: Setting) -> dict[str, str]:
    """Return the figures of a row about the compiler: on a CPU the network is only traced."""
    return {} if setting.gpu else {**setting.needs, "compiler": "eager"}
