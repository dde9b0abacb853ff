"""Averages of a training's weights with a power-function profile, and how to mix them into others.

An average over the training steps up to t weighs the weights of step s by (g + 1) s^g / t^(g + 1).
Its width, `sigma_rel`, is the standard deviation of that profile as a fraction of t. An average of
another width is approximated by the linear combination of stored averages whose profile is nearest
to its own in L2. All arithmetic is in float64.

Source: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", CVPR
2024, section 3; times are counted in training steps.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ltdm.plumbing.errors import LtdmError

MAX_SIGMA_REL = 12**-0.5  # the width of the plain mean of all steps, g = 0


def gamma_of(sigma_rel: float) -> float:
    """Return the exponent g of a width: sigma_rel^2 = (g + 1) / ((g + 2)^2 (g + 3)).

    It is the largest root of g^3 + 7 g^2 + (16 - w) g + (12 - w) with w = sigma_rel^-2. Rising
    profiles have widths below `MAX_SIGMA_REL`; for others it raises LtdmError.
    """
    if not 0 < sigma_rel < MAX_SIGMA_REL:
        raise LtdmError(
            f"an average's sigma_rel must lie between 0 and {MAX_SIGMA_REL:.4f}, not {sigma_rel:g}"
        )
    w = sigma_rel**-2
    roots = np.roots([1, 7, 16 - w, 12 - w])
    return float(roots.real.max())  # all three are real: w is above 12


def profile_product(t_a: ArrayLike, g_a: ArrayLike, t_b: ArrayLike, g_b: ArrayLike) -> np.ndarray:
    """Return the inner product of two profiles: the integral of their product over time.

    Profiles are given by their ends t > 0 and exponents g; arrays broadcast.
    """
    t_a, g_a, t_b, g_b = (np.asarray(x, float) for x in (t_a, g_a, t_b, g_b))
    first, last = np.minimum(t_a, t_b), np.maximum(t_a, t_b)
    overlap = (first / last) ** np.where(t_a < t_b, g_b, g_a)
    return (g_a + 1) * (g_b + 1) * overlap / ((g_a + g_b + 1) * last)


def coefficients(times: ArrayLike, gammas: ArrayLike, t: float, g: float) -> np.ndarray:
    """Return the coefficients of the stored averages in the target average, (N,); they sum to 1.

    The stored profiles end at the steps `times` (N,) and have the exponents `gammas` (N,); the
    target profile has t and g.
    """
    times, gammas = np.asarray(times, float)[:, None], np.asarray(gammas, float)[:, None]
    products = profile_product(times, gammas, times.T, gammas.T)
    mix = np.linalg.solve(products, profile_product(times, gammas, t, g))
    return (mix / mix.sum(axis=0)).ravel()


def profile_error(
    mix: np.ndarray, times: ArrayLike, gammas: ArrayLike, t: float, g: float
) -> float:
    """Return the L2 distance of the mixed profile from the target, as a fraction of its L2 norm.

    `mix` (N,) are the coefficients; the other arguments are those of `coefficients`.
    """
    times, gammas = np.asarray(times, float)[:, None], np.asarray(gammas, float)[:, None]
    squared_norm = profile_product(t, g, t, g)
    cross = mix @ profile_product(times, gammas, t, g)[:, 0]
    products = profile_product(times, gammas, times.T, gammas.T)
    square = mix @ products @ mix - 2 * cross + squared_norm
    return math.sqrt(max(0.0, square) / squared_norm)  # rounding may make the square negative
