"""Points drawn from known densities: each class is a mixture of Gaussians.

By default class 0 is 1/2 N((-2, 0), I) + 1/2 N((2, 0), I), class 1 is N((0, 0), 4 I): the toy
problem of the public discussion of "Mutual learning for long-tailed diffusion" (IGD). Points are
float32 and are not scaled; each is an image of d channels and one pixel.
"""

from dataclasses import dataclass

import numpy as np

from ltdm.core.seeding import derive_seed
from ltdm.data._base import Census, Loaded
from ltdm.data._mixtures import Case, CaseOption, draw
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option

CITATION = ""
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Options:
    """Which densities, and how many points there are."""

    classes: Case = option(
        Case.called("overlapping"),
        "`overlapping`: a wide head around a round tail; `separated`: N((-4, 0), I) and N((4, 0),"
        " I); or a list of classes, `name: [{mean: [0, 0], std: 2, weight: 1}, ...]`, in the order"
        " of their labels. `std` may list one a dimension.",
        parser=CaseOption(),
    )
    points_per_class: int = option(10_000, "Points of each class before the tail is cut.", low=1)
    seed: int = option(0, "Seed of the points: another one gives other points.", low=0)

    def __post_init__(self) -> None:
        """Refuse points on a line: no figure shows them."""
        if self.classes.dimension < 2:
            raise OptionError(("classes",), "has points of one dimension, and needs two or more")


def census(options: Options) -> Census:
    """Return what will be drawn."""
    classes, dimension = options.classes.classes, options.classes.dimension
    return Census(
        list(classes), [options.points_per_class] * len(classes), dimension, 1, points=True
    )


def load(options: Options, split: str) -> Loaded:
    """Draw a split, class by class: float32 (N, d, 1, 1)."""
    drawn = []
    for label, components in enumerate(options.classes.classes.values()):
        rng = np.random.default_rng(derive_seed(f"mixture-{split}", options.seed, label))
        drawn.append(draw(components, options.points_per_class, rng))
    points = np.concatenate(drawn).astype(np.float32)[:, :, None, None]
    return Loaded(points, np.repeat(np.arange(len(drawn)), options.points_per_class))
