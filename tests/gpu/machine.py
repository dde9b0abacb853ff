"""The machine, and the best rates that it reaches."""

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

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32, "tf32": torch.float32}
QUERY_FIELDS = "name,driver_version,memory.total,clocks.max.sm,power.limit"


def run(setting: Setting) -> None:
    """Add a row that describes the machine and the software."""
    setting.rows.add("machine", **describe(setting))


def time_ceilings(setting: Setting) -> None:
    """Time matrix products, a copy and launches."""
    device, side = setting.device, 256 if setting.tiny else 8192
    for name, kind in DTYPES.items():
        with setting.rows.attempt(f"product, {name}"):
            a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
            with precision_context("tf32" if name == "tf32" else "fp32", device):
                ms = median_ms(lambda a=a, b=b: a @ b, device, 10)
            setting.rows.add(f"product, {name}", side=side, tflops=2e-9 * side**3 / ms)
    with setting.rows.attempt("copy"):
        source = torch.randn(1 << (20 if setting.tiny else 29), device=device)
        target = torch.empty_like(source)
        ms = median_ms(lambda: target.copy_(source), device, 10)
        setting.rows.add("copy", gb_per_s=8e-6 * source.numel() / ms)
    with setting.rows.attempt("launch"):
        small = torch.zeros(8, device=device)
        ms = median_ms(lambda: [small.add_(1) for _ in range(1000)], device, 5)
        setting.rows.add("launch", us=ms)  # milliseconds of 1000 launches


def describe(setting: Setting) -> dict[str, Any]:
    """Return card, driver, processor, versions, commit and time."""
    facts = {
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
        command = ["nvidia-smi", f"--query-gpu={QUERY_FIELDS}", "--format=csv,noheader"]
        process = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        facts |= dict(
            zip(QUERY_FIELDS.split(","), process.stdout.strip().split(", "), strict=False)
        )
    return facts


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
