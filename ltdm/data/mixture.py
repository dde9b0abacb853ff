"""Points from known densities: each class is a mixture of Gaussians.

By default class 0 is 1/2 N((-2, 0), I) + 1/2 N((2, 0), I) and class 1 is N((0, 0), 4 I): the toy
problem of the public discussion of "Mutual learning for long-tailed diffusion" (IGD). A point is
stored as a float32 image of d channels and one pixel; its coordinates are not scaled.
"""

from dataclasses import dataclass

import numpy as np

from ltdm.core.seeding import derive_seed
from ltdm.data._base import SourceInfo, SourceSplit
from ltdm.data._mixtures import MixtureOption, MixtureSet, draw_points
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option

CITATION = ""
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Options:
    """Densities of the classes, number of points and seed."""

    classes: MixtureSet = option(
        MixtureSet.named("overlapping"),
        "`overlapping`: a wide head around a round tail; `separated`: N((-4, 0), I) and N((4, 0),"
        " I); or a list of classes, `name: [{mean: [0, 0], std: 2, weight: 1}, ...]`, in the order"
        " of their labels. `std` is one number, or one per dimension.",
        parser=MixtureOption(),
    )
    points_per_class: int = option(
        10_000, "Points per class before the long tail is applied.", low=1, high=10_000_000
    )
    point_seed: int = option(0, "Seed of the points.", low=0)

    def __post_init__(self) -> None:
        """Reject points of one dimension, which no figure can show."""
        if self.classes.dimension < 2:
            raise OptionError(
                ("classes",), "has points of one dimension; give every mean two numbers or more"
            )


def describe(options: Options) -> SourceInfo:
    """Describe the points that `load` draws."""
    classes, dimension = options.classes.classes, options.classes.dimension
    return SourceInfo(
        list(classes), [options.points_per_class] * len(classes), dimension, 1, points=True
    )


def load(options: Options, split: str) -> SourceSplit:
    """Draw a split class by class, float32 (N, d, 1, 1); each class has its own random stream."""
    points_by_class = []
    for label, components in enumerate(options.classes.classes.values()):
        rng = np.random.default_rng(derive_seed(f"mixture-{split}", options.point_seed, label))
        points_by_class.append(draw_points(components, options.points_per_class, rng))
    points = np.concatenate(points_by_class).astype(np.float32)[:, :, None, None]
    return SourceSplit(points, np.repeat(np.arange(len(points_by_class)), options.points_per_class))
