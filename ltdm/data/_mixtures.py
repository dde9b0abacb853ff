"""Classes as mixtures of Gaussians with diagonal covariances: parsing and drawing points."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.options import KeyPath, as_mapping, option, parse, suggest

NO_TEXT = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of characters that no name has: control, surrogate, end of a line."""
MAX_COORDINATE = 1e6
"""Limit of coordinates and standard deviations, up to which float32 still separates points."""


@dataclass(frozen=True)
class Gaussian:
    """A component of a class."""

    mean: tuple[float, ...] = option(
        ..., "Mean, one number per dimension.", low=-MAX_COORDINATE, high=MAX_COORDINATE
    )
    std: tuple[float, ...] = option(
        ..., "Standard deviation per dimension.", above=0, high=MAX_COORDINATE
    )
    weight: float = option(
        1.0,
        "Weight in the class, relative to the weights of the other components.",
        above=0,
        high=MAX_COORDINATE,
    )

    def __post_init__(self) -> None:
        if not self.mean:
            raise OptionError(("mean",), "must have at least one dimension")
        if len(self.std) != len(self.mean):
            message = (
                f"has {len(self.std)} numbers, but the mean has {len(self.mean)}; give equally many"
            )
            raise OptionError(("std",), message)


Components = tuple[Gaussian, ...]
ClassMixtures = Mapping[str, Components]
"""The components of each class by its name, in the order of the labels; all of one dimension."""

PRESETS: Mapping[str, ClassMixtures] = MappingProxyType(
    {
        "overlapping": {
            "head": (Gaussian((-2.0, 0.0), (1.0, 1.0)), Gaussian((2.0, 0.0), (1.0, 1.0))),
            "tail": (Gaussian((0.0, 0.0), (2.0, 2.0)),),
        },
        "separated": {
            "head": (Gaussian((-4.0, 0.0), (1.0, 1.0)),),
            "tail": (Gaussian((4.0, 0.0), (1.0, 1.0)),),
        },
    }
)
"""`overlapping` is the toy problem of the public discussion of "Mutual learning" (IGD)."""


@dataclass(frozen=True)
class MixtureSet:
    """The classes of a data set, as a config defines them."""

    name: str | None  # of a preset; None for classes that the config lists itself
    classes: ClassMixtures = field(hash=False)

    @classmethod
    def named(cls, name: str) -> "MixtureSet":
        """Return a preset, one of `PRESETS`."""
        return cls(name, PRESETS[name])

    @property
    def dimension(self) -> int:
        """Number of coordinates per point."""
        return len(next(iter(self.classes.values()))[0].mean)

    def to_config(self) -> str | list[dict[str, list[dict[str, Any]]]]:
        """Return the value in YAML: the preset's name, or the list of classes."""
        if self.name:
            return self.name
        classes = self.classes.items()
        return [{name: [non_defaults(c) for c in components]} for name, components in classes]


COMPONENT_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["mean"],
    "properties": {
        "mean": {"type": "array", "minItems": 1, "items": {"type": "number"}},
        "std": {
            "type": ["number", "array"],
            "exclusiveMinimum": 0,
            "items": {"type": "number", "exclusiveMinimum": 0},
        },
        "weight": {"type": "number", "exclusiveMinimum": 0},
    },
}
"""JSON schema of a component, `{mean: [...], std: ..., weight: ...}`."""

CLASS_SCHEMA = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": {"type": "array", "minItems": 1, "items": COMPONENT_SCHEMA},
}
"""JSON schema of a class, `{name: [components]}`."""


class MixtureOption:
    """Parser of a preset's name, or of a list of `{class: [components]}`.

    The classes are a list because their order defines the labels, and keys of a mapping have none.
    """

    schema: ClassVar[dict[str, Any]] = {
        "anyOf": [{"enum": list(PRESETS)}, {"type": "array", "minItems": 2, "items": CLASS_SCHEMA}]
    }

    def __call__(self, value: Any, path: KeyPath) -> MixtureSet:
        """Return the classes that the config defines by `value` at `path`.

        A list that equals a preset becomes that preset.

        Raises:
            OptionError: The value is neither a preset nor a valid list.
        """
        if isinstance(value, str):
            if value not in PRESETS:
                raise OptionError(path, f"no preset is called {value!r}; {suggest(value, PRESETS)}")
            return MixtureSet.named(value)
        if not isinstance(value, list | tuple) or len(value) < 2:
            raise OptionError(
                path,
                f"must be {', '.join(PRESETS)} or a list of at least two classes, each"
                f" `name: [{{mean: [...], std: ...}}, ...]`, not {value!r}",
            )
        classes: dict[str, Components] = {}
        for i, item in enumerate(value):
            name, components = _parse_class(item, (*path, str(i)))
            if name in classes:
                raise OptionError((*path, str(i), name), "is the name of two classes; rename one")
            classes[name] = components
        _check_dimensions(classes, path)
        equal = (name for name in PRESETS if [*PRESETS[name].items()] == [*classes.items()])
        return MixtureSet(next(equal, None), classes)


def _check_dimensions(classes: ClassMixtures, path: KeyPath) -> None:
    """Raise OptionError at the first component whose dimension is not that of the first one."""
    dimension = MixtureSet(None, classes).dimension
    for i, (name, components) in enumerate(classes.items()):
        for k, component in enumerate(components):
            if len(component.mean) != dimension:
                message = f"has {len(component.mean)} dimensions, but the first mean has"
                raise OptionError((*path, str(i), name, str(k), "mean"), f"{message} {dimension}")


def _parse_class(value: Any, path: KeyPath) -> tuple[str, Components]:
    """Parse `{name: [components]}`."""
    items = as_mapping(value, path)
    if len(items) != 1:
        message = f"must be one class, `name: [{{mean: [...], std: ...}}, ...]`, not {value!r}"
        raise OptionError(path, message)
    ((name, components),) = items.items()
    if not name.strip() or any(unicodedata.category(c) in NO_TEXT for c in name):
        raise OptionError(path, f"the name {name!r} must be text in one line; choose another")
    if not isinstance(components, list | tuple) or not components:
        message = f"must be a list of at least one {{mean: [...], std: ...}}, not {components!r}"
        raise OptionError((*path, name), message)
    return name, tuple(_parse_gaussian(c, (*path, name, str(i))) for i, c in enumerate(components))


def _parse_gaussian(value: Any, path: KeyPath) -> Gaussian:
    """Parse a component; a single standard deviation applies to every dimension."""
    settings = as_mapping(value, path)
    mean, std = settings.get("mean"), settings.get("std", 1.0)
    if not isinstance(std, list | tuple):
        settings["std"] = [std] * (len(mean) if isinstance(mean, list | tuple) else 1)
    return parse(Gaussian, settings, path)


def component_weights(components: Components) -> np.ndarray:
    """Return the weights of the K components of a class, float64 (K,), which sum to 1."""
    weights = np.array([component.weight for component in components])
    return weights / weights.sum()


def draw_points(components: Components, number: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a `number` N of points from the mixture of a class, float64 (N, d)."""
    weights = component_weights(components)
    if (weights == weights[0]).all():  # equal weights keep the random draws of earlier versions
        component = rng.integers(len(components), size=number)
    else:
        component = rng.choice(len(components), size=number, p=weights)
    means = np.array([c.mean for c in components])
    stds = np.array([c.std for c in components])
    return means[component] + stds[component] * rng.standard_normal((number, means.shape[1]))
