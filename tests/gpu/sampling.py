"""Network evaluations as sampling makes them: by precision, memory layout and batch size."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from ltdm.networks._predictor import Predictor, to_device
from tests.gpu.setting import Setting
from tests.gpu.timing import median_ms, peak_gib, reset_peak

CONFIGURATIONS = {
    "fp32": ("fp32", torch.contiguous_format),
    "fp32, channels last": ("fp32", torch.channels_last),
    "tf32": ("tf32", torch.channels_last),
    "bf16": ("bf16", torch.channels_last),
}
LIMITS = {"fp32": 1e-4, "tf32": 0.02, "bf16": 0.2}
"""Largest relative difference of each precision from float64."""
SET_EVALUATIONS = 50_000 * 200
"""Evaluations of a guided set of 50,000 images in 100 steps."""


def run(setting: Setting) -> None:
    """Time each configuration, and measure its difference from float64."""
    net, fastest = network(setting), {}
    small_batch = inputs(setting, 8 if setting.tiny else 32)
    with torch.inference_mode():
        double = deepcopy(net).double()
        exact = double(*(t.double() if t.is_floating_point() else t for t in small_batch))
    for name, (precision, layout) in CONFIGURATIONS.items():
        for batch in (8,) if setting.tiny else (250, 1000, 2000):
            what = f"{name}, {batch} at once"
            with setting.rows.attempt(what), torch.inference_mode():
                reset_peak(setting.device)
                own = to_device(deepcopy(net), setting.device, precision).to(memory_format=layout)
                predict = Predictor(own, setting.device, precision)
                off = float((predict(*small_batch) - exact).norm() / exact.norm())
                timed_batch = inputs(setting, batch)
                ms = median_ms(lambda p=predict, b=timed_batch: p(*b), setting.device, 3, 4.0)
                rate = 1e3 * batch / ms
                fastest[name] = max(rate, fastest.get(name, 0.0))
                setting.rows.add(
                    what,
                    evaluations_per_s=rate,
                    ms=ms,
                    hours=SET_EVALUATIONS / rate / 3600,
                    peak_gib=peak_gib(setting.device),
                    off=off,
                    bad=not off < LIMITS[precision],
                )
    for name, rate in fastest.items():
        setting.rows.add(f"{name} over fp32", ratio=rate / fastest["fp32"], evaluations_per_s=rate)


def network(setting: Setting) -> nn.Module:
    """Return the papers' network with perturbed weights: with its first ones the output is 0."""
    net = setting.subject("ddpm").learner(graph="none", precision="fp32").net.eval()
    torch.manual_seed(0)
    for weight in net.parameters():
        weight.data += 0.02 * torch.randn_like(weight)
    return net


def inputs(setting: Setting, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return noisy images, levels and labels."""
    info = setting.subject("ddpm").data.info
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(batch, info.channels, info.resolution, info.resolution, generator=stream)
    level, labels = torch.arange(batch) * 997 % 1000, torch.arange(batch) % 10
    device = setting.device
    return x.to(device), level.to(device), labels.to(device)
