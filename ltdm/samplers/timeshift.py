"""`ddim` with a time shift per image, extrapolation of the denoised image, and epsilon scaling.

These are remedies for exposure bias: in sampling, a network meets images that are not distributed
as those of training. A step of `ddim` from t to s is changed in three ways.

- `window`: each image goes to a timestep s' of its own: that of the integers within window // 2 of
  s, and not below 0, whose noise variance is nearest to the variance of the image's pixels at t; of
  two equally near, the lower. The first step, and steps to `cut` or lower, are not shifted. Weights
  of guidance are those of the grid.
- `eps_scale` k: the predicted noise is divided by k before x0 is computed from it.
- `extrapolate` r: x_s is made of (1 + r) x0 - r x0', with x0' that of the step before; the noise in
  x_s stays that of x0, whereas a solver such as `dpmpp2m` derives it anew. `clip_denoised` clamps
  x0 and x0', not what is extrapolated from them.

At their defaults the sampler is `ddim`, bit for bit. With `carry`, the next step starts at s': the
image and the network's level agree, and the shift only chooses another grid for each image. Without
it, the next step starts at s, and the image has another noise level than the network is conditioned
on. With `carry` and a window of at least the grid's spacing, an image whose shift turns from down
to up may stand still or go back in that step, which then adds no noise.

The pixels' variance says almost nothing about the level at high noise. Over the 3,072 pixels of an
image it scatters by 2.55 % of itself, which is worth 5,141 timesteps at t = 900, 1,037 at 800, 259
at 700, 48 at 550 and 6.4 at 300, against a window of a few. From t = 700 up, the nearest level is
one end of the window, either with probability 1/2, whatever the image shows; in a deterministic
trajectory it stays at the same end. Lower down, the image's own variance moves it to the upper end:
at pixel variance 0.2 mostly at t = 500, and always from 300 down, which is a constant delay.

Extrapolation inflates the variance. For data N(0, 1), an exact denoiser and small steps, samples
have the standard deviation (1 - r)^(-1/2): 1.118 for r = 0.2, 1.414 for 0.5, 2.236 for 0.8. In 50
steps `ddim` has 0.963, and r = 0.1 has 1.018. So a small r offsets the shrinkage of few steps, and
no r above 0 is right for many.

Source: Li et al., "Alleviating Exposure Bias in Diffusion Models through Sampling with Shifted Time
Steps", ICLR 2024, arXiv 2305.15583 (TS-DPM: the shift, `carry: false`); Ning et al., "Elucidating
the Exposure Bias in Diffusion Models", ICLR 2024, arXiv 2308.15321 (epsilon scaling); "Mitigating
Exposure Bias in Long-tailed Diffusion Models through Improved Time-steps and Mean Estimation"
(CBDM_TS: all three, `carry: true`), of which only the code could be read. The figures above
were computed for ltdm, and its tests repeat them.
Cost: `steps` evaluations per image, twice that with guidance.

Released code: CBDM_TS uses the grid `{grid: leading, last: clean}`; its ancestral form is eta 1. It
also solves with DEIS, where the shift moves the network's level alone; that form is not here.
TS-DPM uses `{grid: leading, offset: 1, last: alpha_bar_0}` without the first timestep, so one step
fewer. The drivers of CBDM_TS choose window, cut and r one after another by the FID of 10,000
samples, of one seed, against the balanced training statistics, and report the FID of 50,000 samples
against the same: the choice is made on the reported score. Choose on other images.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ltdm.diffusion._base import Process
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option
from ltdm.samplers import ddim
from ltdm.samplers._denoise import Denoise, Noise

CITATION = """@inproceedings{li2024tsdpm,
  title={Alleviating Exposure Bias in Diffusion Models through Sampling with Shifted Time Steps},
  author={Li, Mingxiao and Qu, Tingyu and Yao, Ruicong and Sun, Wei and Moens, Marie-Francine},
  booktitle={ICLR}, year={2024}}
@inproceedings{ning2024exposure,
  title={Elucidating the Exposure Bias in Diffusion Models},
  author={Ning, Mang and Li, Mingxiao and Su, Jianlin and Salah, Albert Ali and
    Ertugrul, Itir Onal}, booktitle={ICLR}, year={2024}}"""


@dataclass(frozen=True)
class Options(ddim.Options):
    """Options of `ddim`, and the changes to its steps."""

    window: int = option(
        0,
        "Timesteps among which a step's end is chosen per image, half of them on either side; 0"
        " shifts nothing.",
        low=0,
        high=100_000,
    )
    cut: int = option(
        0, "Steps to this timestep or a lower one are not shifted.", low=0, high=100_000
    )
    extrapolate: float = option(
        0.0,
        "Extrapolation of the denoised image from the last step's, r; the samples' standard"
        " deviation grows with (1 - r)^(-1/2).",
        low=0,
        high=0.99,
    )
    eps_scale: float = option(
        1.0, "Divisor of the predicted noise; above 1, less is removed.", low=0.5, high=2
    )
    carry: bool = option(
        True,
        "Whether the next step starts from the image's own timestep, or from the grid's (`false`,"
        " TS-DPM).",
    )


def evaluations(options: Options) -> int:
    """Return the network evaluations per image, without guidance."""
    return options.steps


def noise_levels(process: Process, options: Options) -> list[float]:
    """Return the levels of `ddim`'s grid, the last image's last; refuse a window unfit for it."""
    levels = ddim.noise_levels(process, options)
    if options.window < 2:
        for name, default in (("window", 0), ("cut", 0), ("carry", True)):
            if getattr(options, name) != default:
                message = "has no effect unless window is at least 2; set window, or leave it out"
                raise OptionError((name,), message)
        return levels
    if process.timesteps is None:
        message = "is for processes with timesteps, which this one has not; leave it out"
        raise OptionError(("window",), message)
    gaps = [t - s for t, s in pairwise(levels[1:]) if s > options.cut]
    if not gaps:
        way_out = "lower it, or raise steps" if options.cut else "raise steps, or set window to 0"
        message = f"is {options.cut}, and no step but the first ends above it; {way_out}"
        raise OptionError(("cut",), message)
    if options.window // 2 >= min(gaps):
        message = (
            f"is {options.window}, but half of it must be below {min(gaps):g}, the spacing of the"
            " timesteps, or a step may go back; lower it, or steps"
        )
        raise OptionError(("window",), message)
    return levels


def sample(
    denoise: Denoise, process: Process, noise: Noise, levels: list[float], options: Options
) -> Tensor:
    """Return images (B, C, H, W), about in [-1, 1]."""
    x = process.initial_noise(noise())
    own: Tensor | None = None  # the images' own levels (B,), if they are not all at t
    before: Tensor | None = None  # x0 of the last step
    for t, s in pairwise(levels):
        target = None
        if before is not None and options.window > 1 and s > options.cut:
            target = nearest_levels(process, x, s, options.window)
        start = process.signal_and_std(t) if own is None else scales_of(process, own, x)
        end = process.signal_and_std(s) if target is None else scales_of(process, target, x)
        predicted = denoise(x, t) if own is None else denoise(x, t, own)
        predicted = predicted + (1 - 1 / options.eps_scale) * (x / start[0] - predicted)
        x0, eps = ddim.split(x, predicted, start, options)
        ahead = x0 if before is None else x0 + options.extrapolate * (x0 - before)
        x = ddim.step(ahead, eps, start, end, options.eta, noise)
        before, own = x0, target if options.carry else None
    return x


def nearest_levels(process: Process, x: Tensor, level: float, window: int) -> Tensor:
    """Return the timesteps (B,) near `level` whose noise has the variance of x (B, C, H, W).

    They are the integers within window // 2 of `level`, and not below 0. The variance of an image
    is the unbiased one of all its pixels.
    """
    half = window // 2
    near = torch.arange(-half, half + 1, device=x.device).add(int(level)).clamp(min=0)
    noise = scales_of(process, near, x)[1].flatten().square()
    variance = x.flatten(1).var(dim=1, keepdim=True)
    return near[(variance - noise).square().argmin(dim=1)]


def scales_of(process: Process, levels: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return signal and std at levels (n,), both (n, 1, 1, 1), in the precision of images `like`.

    They are what the process makes of the image 1 without noise, and of the noise 1 without image.
    """
    one, zero = like.new_ones(1, 1, 1, 1), like.new_zeros(1, 1, 1, 1)
    return process.corrupt(one, zero, levels), process.corrupt(zero, one, levels)
