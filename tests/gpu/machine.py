"""What the machine is, and what it reaches at best."""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from ltdm.core.device import device_name, precision_context
from ltdm.plumbing.provenance import commit, versions
from tests.gpu.setting import Setting
from tests.gpu.timing import median_ms

KINDS = {"bf16": torch.bfloat16, "fp32": torch.float32, "tf32": torch.float32}
ASKED = "name,driver_version,memory.total,clocks.max.sm,power.limit"


def run(setting: Setting) -> None:
    """Say where this runs, by what."""
    setting.rows.say("machine", **described(setting))


def ceilings(setting: Setting) -> None:
    """Time matrix products, a copy and launches."""
    device, side = setting.device, 256 if setting.tiny else 8192
    for name, kind in KINDS.items():
        with setting.rows.attempt(f"product, {name}"):
            a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
            with precision_context("tf32" if name == "tf32" else "fp32", device):
                ms = median_ms(lambda a=a, b=b: a @ b, device, 10)
            setting.rows.say(f"product, {name}", side=side, tflops=2e-9 * side**3 / ms)
    with setting.rows.attempt("copy"):
        one = torch.randn(1 << (20 if setting.tiny else 29), device=device)
        other = torch.empty_like(one)
        ms = median_ms(lambda: other.copy_(one), device, 10)
        setting.rows.say("copy", gb_per_s=8e-6 * one.numel() / ms)
    with setting.rows.attempt("launch"):
        few = torch.zeros(8, device=device)
        ms = median_ms(lambda: [few.add_(1) for _ in range(1000)], device, 5)
        setting.rows.say("launch", us=ms)  # milliseconds of a thousand


def described(setting: Setting) -> dict[str, Any]:
    """Return card, driver, processor, versions, commit and time."""
    found = {
        "card": device_name(setting.device),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "commit": commit(),
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        **versions(),
    }
    if setting.gpu and shutil.which("nvidia-smi"):
        command = ["nvidia-smi", f"--query-gpu={ASKED}", "--format=csv,noheader"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        found |= dict(zip(ASKED.split(","), told.stdout.strip().split(", "), strict=False))
    return found


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
