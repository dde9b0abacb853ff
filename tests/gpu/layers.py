"""Cost of single layers: convolutions and norms by memory layout, attention by kernel."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ltdm.core.device import precision_context
from ltdm.networks._norm import EPSILON, decomposed_group_norm
from tests.gpu.machine import DTYPES
from tests.gpu.setting import Setting
from tests.gpu.timing import median_ms, synchronize

LAYOUTS = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}
NORMS = {
    "native": lambda x, w, b: nnf.group_norm(x, 32, w, b, EPSILON),
    "written out": lambda x, w, b: decomposed_group_norm(x, 32, w, b),
}
KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "products": SDPBackend.MATH,
}


def run(setting: Setting) -> None:
    """Time all layers, forward and backward."""
    shapes = [(128, 32), (256, 16), (256, 4)]
    for precision in DTYPES:
        for width, side in [(8, 8)] if setting.tiny else shapes:
            for layout in LAYOUTS:
                time_convolution(setting, precision, layout, width, side)
    for layout in LAYOUTS:
        time_convolution(setting, "bf16", layout, *(8, 8) if setting.tiny else (128, 32), groups=10)
        for norm in NORMS:
            time_group_norm(setting, norm, layout)
    for kernel in KERNELS:
        for batch, positions in [(4, 16)] if setting.tiny else [(64, 256), (128, 256), (64, 16)]:
            time_attention(setting, kernel, batch, positions)


def time_both_passes(setting: Setting, call: Callable[..., Tensor], *inputs: Tensor) -> float:
    """Return the milliseconds of a layer's forward and backward pass."""
    weight = torch.randn_like(call(*inputs))

    def run_once() -> Any:
        return torch.autograd.grad(call(*inputs), inputs, weight)

    return median_ms(run_once, setting.device, 2 if setting.tiny else 10, 1.0)


def time_convolution(
    setting: Setting, precision: str, layout: str, width: int, side: int, groups: int = 1
) -> None:
    """Time a convolution of `width` channels and `side`^2 pixels, or `groups` of them as one."""
    what = f"convolution{'s as one' if groups > 1 else ''}, {precision}, {layout}, {width} x {side}"
    batch = 2 if setting.tiny else 6 if groups > 1 else 64
    with setting.rows.attempt(what):
        options = {"device": setting.device, "dtype": DTYPES[precision]}
        x, w = (
            torch.randn(shape, **options).to(memory_format=LAYOUTS[layout]).requires_grad_()
            for shape in ((batch, groups * width, side, side), (groups * width, width, 3, 3))
        )
        context = (
            precision_context("tf32", setting.device) if precision == "tf32" else nullcontext()
        )
        with context:
            ms = time_both_passes(
                setting, lambda x, w: nnf.conv2d(x, w, padding=1, groups=groups), x, w
            )
        operations = 6 * batch * groups * side**2 * width**2 * 9
        setting.rows.add(what, groups=groups, ms=ms, tflops=operations / ms / 1e9)


def time_group_norm(setting: Setting, norm: str, layout: str) -> None:
    """Time a group norm with 32 groups, in bf16 and without the compiler."""
    what = f"group norm, {norm}, {layout}"
    with setting.rows.attempt(what):
        shape = (2, 32, 8, 8) if setting.tiny else (64, 256, 16, 16)
        options = {"device": setting.device, "dtype": torch.bfloat16}
        x = torch.randn(shape, **options).to(memory_format=LAYOUTS[layout]).requires_grad_()
        w, b = (torch.randn(shape[1], **options).requires_grad_() for _ in range(2))
        setting.rows.add(what, ms=time_both_passes(setting, NORMS[norm], x, w, b))


def time_attention(setting: Setting, kernel: str, batch: int, positions: int) -> None:
    """Time attention by one kernel, in bf16, with one head of 256 channels; the first call too."""
    what = f"attention, {kernel}, {batch} x {positions}"
    if not setting.gpu and kernel in ("cuDNN", "memory-efficient"):
        setting.rows.add(what, **setting.needs)
        return
    with setting.rows.attempt(what), sdpa_kernel(KERNELS[kernel]):
        shape = batch, 1, positions, 32 if setting.tiny else 256
        q = torch.randn(shape, device=setting.device, dtype=torch.bfloat16, requires_grad=True)
        wide = q.double()
        exact = (wide @ wide.mT / shape[-1] ** 0.5).softmax(-1) @ wide
        started = time.perf_counter()
        result = nnf.scaled_dot_product_attention(q, q, q)
        torch.autograd.grad(result.sum(), q)
        synchronize(setting.device)
        first = time.perf_counter() - started
        off = float(((result - exact).norm() / exact.norm()).detach())
        ms = time_both_passes(setting, lambda q: nnf.scaled_dot_product_attention(q, q, q), q)
        setting.rows.add(what, first_s=first, ms=ms, off=off, bad=not off < 0.05)
