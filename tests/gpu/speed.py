"""What an update costs: by method, as it is, as one graph, compiled; by size; by attention."""

import gc
import time
from functools import lru_cache
from typing import Any

import torch

from ltdm.training.graph import WARMUP_CALLS, StepGraph
from ltdm.training.loop import Trainer
from tests.gpu.setting import VARIANTS, Setting
from tests.gpu.steps import HALF
from tests.gpu.timing import (
    Operations,
    forget_peak,
    host_ms,
    kernels,
    median_ms,
    peak_gib,
    wait,
)

RUNS = ("ddpm", "cbdm", "oclt", "ccua", "agc", "igd-shared", "igd-separate", "igd-released")
LARGEST = "igd-released"
"""Ten times the kernels of the others: as a graph it comes last."""
PROFILED = (
    "ddpm, eager",
    "ddpm, one graph",
    "ddpm, compiled, one graph",
    "cbdm, one graph",
    "igd-separate, one graph",
    "edm2-e, eager",
    "edm2-e, compiled",
)


def methods(setting: Setting) -> None:
    """Time every method kernel by kernel, and as one graph."""
    for run in RUNS:
        update(setting, run, "eager")
        if run != LARGEST and (setting.gpu or run == "ddpm"):  # on a CPU both are the same
            update(setting, run, "one graph")


def compiled(setting: Setting) -> None:
    """Time what the steps before have compiled."""
    update(setting, "ddpm", HALF)
    for run in () if setting.tiny else ("ddpm", "cbdm"):
        update(setting, run, "compiled")
        update(setting, run, "compiled, one graph")


def edm2(setting: Setting) -> None:
    """Time EDM2 at its protocol's batch."""
    for run in ("edm2-c", "edm2-e", "edm2-g"):
        update(setting, run, "eager")
    if not setting.tiny:  # a CPU has traced the U-Net by now, and this one is no different
        update(setting, "edm2-e", "compiled")


def sizes(setting: Setting) -> None:
    """Time larger batches; cuDNN's own search for kernels; its attention."""
    for batch in (24,) if setting.tiny else (128, 256, 512):
        update(setting, "ddpm", "one graph", batch)
    torch.backends.cudnn.benchmark = True
    update(setting, "ddpm", "one graph", also="cudnn.benchmark")
    torch.backends.cudnn.benchmark = False
    for on in (False, True):
        torch.backends.cuda.enable_cudnn_sdp(on)
        update(setting, "cbdm", "eager", also=f"attention by {'cuDNN' if on else 'flash'}")
    torch.backends.cuda.enable_cudnn_sdp(False)


def rest(setting: Setting) -> None:
    """Compile and time the others, for as long as there is time."""
    if setting.tiny:
        setting.rows.say("the other methods, compiled", **setting.needs)
        return
    update(setting, LARGEST, "one graph")
    for run in ("oclt", "agc", "edm2-c", "edm2-g", "ccua", "igd-shared"):
        update(setting, run, "compiled" if run.startswith("edm2") else "compiled, one graph")


def compiling(setting: Setting, run: str, variant: str) -> None:
    """Make some updates, so that later steps find in the compiler's cache what they need."""
    what = f"{run}, {variant}"
    with setting.rows.attempt(what):
        learner = setting.subject(run).learner(**VARIANTS[variant])
        first = time.perf_counter()
        for _ in range(WARMUP_CALLS + 1):
            learner.step()
        wait(setting.device)
        setting.rows.say(what, first_updates_s=time.perf_counter() - first, **_compiler(setting))


def update(
    setting: Setting, run: str, variant: str, batch: int | None = None, also: str = ""
) -> None:
    """Time updates of a run; count what they are made of."""
    name = ", ".join(filter(None, [run, variant, f"batch {batch}" if batch else "", also]))
    with setting.rows.attempt(name):
        forget_peak(setting.device)
        options = VARIANTS[variant] | ({"batch_size": batch} if batch else {})
        figures = _figures(setting, name, setting.subject(run).learner(**options), options)
        figures["tflops"] = figures["img_per_s"] * _operations(setting, run) / 1e12
        figures |= setting.needs if options["graph"] == "auto" else {}
        figures |= _compiler(setting) if options["compile"] else {}
        setting.rows.say(name, **figures)
    gc.collect()
    forget_peak(setting.device)


def _figures(
    setting: Setting, name: str, learner: Trainer, options: dict[str, Any]
) -> dict[str, Any]:
    """Return what an update costs; the first ones, which compile and capture, apart."""
    device, started, found = setting.device, time.perf_counter(), {}
    for _ in range(1 if setting.tiny else WARMUP_CALLS + 2):
        learner.step()
    wait(device)
    found["first_updates_s"] = time.perf_counter() - started
    if isinstance(learner.run_device_step, StepGraph):
        found["bad"] = learner.run_device_step.graph is None
    ms = median_ms(learner.step, device, 2 if setting.tiny else 20)
    size = learner.batches.size
    found |= {
        "batch_size": size,
        "ms": ms,
        "img_per_s": 1e3 * size / ms,
        "host_ms": host_ms(learner.step, device, 1 if setting.tiny else 5),
        "peak_gib": peak_gib(device),
        "loss": float(learner.loss_sums["loss"]) / learner.step_count,
    }
    if not options["compile"] and options["graph"] == "none":
        with Operations() as counted:
            learner.step()
        found["operations"] = counted.number
    if name in PROFILED:
        found |= kernels(learner.step, device, name, setting.out / "profile.txt")
    return found


@lru_cache
def _operations(setting: Setting, run: str) -> float:
    return setting.subject(run).operations()


def _compiler(setting: Setting) -> dict[str, str]:
    """Return what a row says of the compiler: on a CPU the network is only traced."""
    return {} if setting.gpu else {**setting.needs, "compiler": "eager"}
