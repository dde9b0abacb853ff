"""Points in the plane from two known mixtures: a wide head class and a round tail class.

Class 0 is 1/2 N((-2, 0), I) + 1/2 N((2, 0), I), class 1 is N((0, 0), 4 I): the toy problem of the
public discussion of "Mutual learning for long-tailed diffusion" (IGD). Points are float32 and are
not scaled; each is an image of two channels and one pixel.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ltdm.data._base import Census, Loaded
from ltdm.options import option
from ltdm.seeding import derive

SPLITS = ("train", "test")


class Gaussian(NamedTuple):
    """A component with covariance std^2 I."""

    mean: tuple[float, float]
    std: float


CLASSES = {
    "head": (Gaussian((-2.0, 0.0), 1.0), Gaussian((2.0, 0.0), 1.0)),
    "tail": (Gaussian((0.0, 0.0), 2.0),),
}
"""Each class is a mixture of its components in equal parts."""


@dataclass(frozen=True)
class Options:
    """How many points there are."""

    points: int = option(10_000, "Points of each class before the tail is cut.", low=1)
    draw: int = option(0, "Number of the draw: another one gives other points.", low=0)


def census(options: Options) -> Census:
    """Return what will be drawn."""
    return Census(list(CLASSES), [options.points] * len(CLASSES), 2, 1, points=True)


def load(options: Options, split: str) -> Loaded:
    """Draw a split, class by class: float32 (N, 2, 1, 1)."""
    drawn = []
    for label, components in enumerate(CLASSES.values()):
        rng = np.random.default_rng(derive(f"mixture-{split}", options.draw, label))
        of = rng.integers(len(components), size=options.points)
        means = np.array([c.mean for c in components])[of]
        stds = np.array([c.std for c in components])[of]
        drawn.append(means + stds[:, None] * rng.standard_normal((options.points, 2)))
    points = np.concatenate(drawn).astype(np.float32)[:, :, None, None]
    return Loaded(points, np.repeat(np.arange(len(CLASSES)), options.points))
