"""Classes that are mixtures of Gaussians with diagonal covariances, and cases made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.options import KeyPath, as_mapping, option, parse, suggest

FAR = 1e6
"""The largest coordinate and standard deviation: float32 still tells points so far out apart."""


@dataclass(frozen=True)
class Gaussian:
    """A component of a class."""

    mean: tuple[float, ...] = option(..., "Its mean.", low=-FAR, high=FAR)
    std: tuple[float, ...] = option(
        ..., "Standard deviation along each dimension.", above=0, high=FAR
    )
    weight: float = option(
        1.0, "Its part of the class, relative to the other components'.", above=0, high=FAR
    )

    def __post_init__(self) -> None:
        if not self.mean:
            raise OptionError(("mean",), "must have at least one dimension")
        if len(self.std) != len(self.mean):
            message = f"has {len(self.std)} numbers, but the mean has {len(self.mean)}"
            raise OptionError(("std",), message)


Classes = Mapping[str, tuple[Gaussian, ...]]
"""The components of each class by its name, in the order of the labels; all of one dimension."""

CASES: Mapping[str, Classes] = MappingProxyType({
    "overlapping": {
        "head": (Gaussian((-2.0, 0.0), (1.0, 1.0)), Gaussian((2.0, 0.0), (1.0, 1.0))),
        "tail": (Gaussian((0.0, 0.0), (2.0, 2.0)),),
    },
    "separated": {
        "head": (Gaussian((-4.0, 0.0), (1.0, 1.0)),),
        "tail": (Gaussian((4.0, 0.0), (1.0, 1.0)),),
    },
})  # fmt: skip
"""`overlapping` is the toy problem of the public discussion of "Mutual learning" (IGD)."""


@dataclass(frozen=True)
class Case:
    """Classes as a config gives them."""

    name: str | None  # that of one of `CASES`; None for classes that the config lists itself
    classes: Classes = field(hash=False)

    @classmethod
    def called(cls, name: str) -> "Case":
        """Return one of `CASES`."""
        return cls(name, CASES[name])

    @property
    def dimension(self) -> int:
        """How many coordinates a point has."""
        return len(next(iter(self.classes.values()))[0].mean)

    def to_config(self) -> str | list[dict[str, list[dict[str, Any]]]]:
        """Return what YAML would hold."""
        if self.name:
            return self.name
        return [{name: [non_defaults(one) for one in own]} for name, own in self.classes.items()]


COMPONENT = {
    "type": "object", "additionalProperties": False, "required": ["mean"],
    "properties": {
        "mean": {"type": "array", "minItems": 1, "items": {"type": "number"}},
        "std": {
            "type": ["number", "array"], "exclusiveMinimum": 0,
            "items": {"type": "number", "exclusiveMinimum": 0},
        },
        "weight": {"type": "number", "exclusiveMinimum": 0},
    },
}  # fmt: skip
COMPONENTS = {"type": "array", "minItems": 1, "items": COMPONENT}
CLASS = {
    "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": COMPONENTS,
}  # fmt: skip
"""JSON schemas of parts of what `CaseOption` parses."""


class CaseOption:
    """Parser of a case's name, or a list of `{class: [components]}`.

    It is a list, since the order of the classes is that of their labels, and keys have no order.
    """

    schema: ClassVar[dict[str, Any]] = {
        "anyOf": [{"enum": list(CASES)}, {"type": "array", "minItems": 2, "items": CLASS}]
    }

    def __call__(self, value: Any, path: KeyPath) -> Case:
        """Parse what the config gives."""
        if isinstance(value, str):
            if value not in CASES:
                raise OptionError(path, f"no case is called {value!r}; {suggest(value, CASES)}")
            return Case.called(value)
        if not isinstance(value, list | tuple) or len(value) < 2:
            raise OptionError(
                path,
                f"must be {', '.join(CASES)} or a list of at least two classes, each"
                f" `name: [{{mean: [...], std: ...}}, ...]`, not {value!r}",
            )
        found: dict[str, tuple[Gaussian, ...]] = {}
        for i, one in enumerate(value):
            name, components = _class(one, (*path, str(i)))
            if name in found:
                raise OptionError((*path, str(i), name), "is the name of two classes")
            found[name] = components
        (wanted, *_) = (len(one.mean) for own in found.values() for one in own)
        for i, (name, own) in enumerate(found.items()):
            for k, one in enumerate(own):
                if len(one.mean) != wanted:
                    message = f"has {len(one.mean)} dimensions, but the first mean has {wanted}"
                    raise OptionError((*path, str(i), name, str(k), "mean"), message)
        same = (case for case in CASES if list(CASES[case].items()) == list(found.items()))
        return Case(next(same, None), found)


def _class(value: Any, path: KeyPath) -> tuple[str, tuple[Gaussian, ...]]:
    """Parse `{name: [components]}`."""
    given = as_mapping(value, path)
    if len(given) != 1:
        message = f"must be one class, `name: [{{mean: [...], std: ...}}, ...]`, not {value!r}"
        raise OptionError(path, message)
    ((name, listed),) = given.items()
    if not isinstance(listed, list | tuple) or not listed:
        message = f"must be a list of at least one {{mean: [...], std: ...}}, not {listed!r}"
        raise OptionError((*path, name), message)
    return name, tuple(_gaussian(one, (*path, name, str(i))) for i, one in enumerate(listed))


def _gaussian(value: Any, path: KeyPath) -> Gaussian:
    """Parse a component; one standard deviation is that of every dimension."""
    given = as_mapping(value, path)
    mean, std = given.get("mean"), given.get("std", 1.0)
    if not isinstance(std, list | tuple):
        given["std"] = [std] * (len(mean) if isinstance(mean, list | tuple) else 1)
    return parse(Gaussian, given, path)


def shares(components: tuple[Gaussian, ...]) -> np.ndarray:
    """Return the weights of a class's components, float64 (K,), which sum to 1."""
    weights = np.array([one.weight for one in components])
    return weights / weights.sum()


def draw(components: tuple[Gaussian, ...], points: int, rng: np.random.Generator) -> np.ndarray:
    """Draw points of a class, float64 (N, d)."""
    number, chances = len(components), shares(components)
    if (chances == chances[0]).all():  # equal parts keep the draw they always had
        of = rng.integers(number, size=points)
    else:
        of = rng.choice(number, size=points, p=chances)
    means, stds = (np.array([getattr(c, name) for c in components]) for name in ("mean", "std"))
    return means[of] + stds[of] * rng.standard_normal((points, means.shape[1]))
