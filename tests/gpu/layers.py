"""What single layers cost: convolutions and norms by layout, attention by kernel."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ltdm.core.device import precision_context
from ltdm.networks._norm import EPSILON, written_out
from tests.gpu.machine import KINDS
from tests.gpu.setting import Setting
from tests.gpu.timing import median_ms, wait

LAYOUTS = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}
NORMS = {
    "native": lambda x, w, b: nnf.group_norm(x, 32, w, b, EPSILON),
    "written out": lambda x, w, b: written_out(x, 32, w, b),
}
KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "products": SDPBackend.MATH,
}


def run(setting: Setting) -> None:
    """Time them all, forward and backward."""
    shapes = [(128, 32), (256, 16), (256, 4)]
    for precision in KINDS:
        for width, side in [(8, 8)] if setting.tiny else shapes:
            for layout in LAYOUTS:
                convolution(setting, precision, layout, width, side)
    for layout in LAYOUTS:
        convolution(setting, "bf16", layout, *(8, 8) if setting.tiny else (128, 32), groups=10)
        for norm in NORMS:
            group_norm(setting, norm, layout)
    for kernel in KERNELS:
        for batch, positions in [(4, 16)] if setting.tiny else [(64, 256), (128, 256), (64, 16)]:
            attention(setting, kernel, batch, positions)


def both_ways(setting: Setting, call: Callable[..., Tensor], *inputs: Tensor) -> float:
    """Return the milliseconds of a layer forward and backward."""
    weight = torch.randn_like(call(*inputs))

    def once() -> Any:
        return torch.autograd.grad(call(*inputs), inputs, weight)

    return median_ms(once, setting.device, 2 if setting.tiny else 10, 1.0)


def convolution(
    setting: Setting, precision: str, layout: str, width: int, side: int, groups: int = 1
) -> None:
    """Time a convolution, or those of so many networks as one with groups."""
    what = f"convolution{'s as one' if groups > 1 else ''}, {precision}, {layout}, {width} x {side}"
    batch = 2 if setting.tiny else 6 if groups > 1 else 64
    with setting.rows.attempt(what):
        made = {"device": setting.device, "dtype": KINDS[precision]}
        x, w = (
            torch.randn(shape, **made).to(memory_format=LAYOUTS[layout]).requires_grad_()
            for shape in ((batch, groups * width, side, side), (groups * width, width, 3, 3))
        )
        context = (
            precision_context("tf32", setting.device) if precision == "tf32" else nullcontext()
        )
        with context:
            ms = both_ways(setting, lambda x, w: nnf.conv2d(x, w, padding=1, groups=groups), x, w)
        operations = 6 * batch * groups * side**2 * width**2 * 9
        setting.rows.say(what, groups=groups, ms=ms, tflops=operations / ms / 1e9)


def group_norm(setting: Setting, norm: str, layout: str) -> None:
    """Time a group norm of 32 groups without the compiler, in bf16."""
    what = f"group norm, {norm}, {layout}"
    with setting.rows.attempt(what):
        shape = (2, 32, 8, 8) if setting.tiny else (64, 256, 16, 16)
        made = {"device": setting.device, "dtype": torch.bfloat16}
        x = torch.randn(shape, **made).to(memory_format=LAYOUTS[layout]).requires_grad_()
        w, b = (torch.randn(shape[1], **made).requires_grad_() for _ in range(2))
        setting.rows.say(what, ms=both_ways(setting, NORMS[norm], x, w, b))


def attention(setting: Setting, kernel: str, batch: int, positions: int) -> None:
    """Time attention in bf16 of one head of 256 channels by one kernel; the first call too."""
    what = f"attention, {kernel}, {batch} x {positions}"
    if not setting.gpu and kernel in ("cuDNN", "memory-efficient"):
        setting.rows.say(what, **setting.needs)
        return
    with setting.rows.attempt(what), sdpa_kernel(KERNELS[kernel]):
        shape = batch, 1, positions, 32 if setting.tiny else 256
        q = torch.randn(shape, device=setting.device, dtype=torch.bfloat16, requires_grad=True)
        wide = q.double()
        exact = (wide @ wide.mT / shape[-1] ** 0.5).softmax(-1) @ wide
        started = time.perf_counter()
        made = nnf.scaled_dot_product_attention(q, q, q)
        torch.autograd.grad(made.sum(), q)
        wait(setting.device)
        first = time.perf_counter() - started
        off = float(((made - exact).norm() / exact.norm()).detach())
        ms = both_ways(setting, lambda q: nnf.scaled_dot_product_attention(q, q, q), q)
        setting.rows.say(what, first_s=first, ms=ms, off=off, bad=not off < 0.05)
