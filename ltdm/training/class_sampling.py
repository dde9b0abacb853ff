"""The distribution of classes in a batch."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import KeyPath, suggest

KINDS = ("natural", "balanced", "power", "brs")


@dataclass(frozen=True)
class ClassSampling:
    """A distribution of the class of each image in a batch.

    `natural`: every image has the same probability. `balanced`: every class has. `power: a`: class
    c has a probability proportional to n_c ** a, where n_c is its training count. `brs: f`: the
    r-th most frequent of C classes, counted from r = 0, has one proportional to f ** (r / (C - 1)).
    The last is the batch resampling of CCUA (Chen et al., "Contrastive Conditional-Unconditional
    Alignment", 2025).

    Released code: rounds. With N training images and the law p_c above, class c has the probability
    floor(N p_c) / N, and the rarest class the remainder to 1 as well, which is most of its
    probability where classes are many: 73 / N in CIFAR100-LT 0.01 (N = 10,847), not 27.6 / N. This
    is `{brs: f, released: true}`.
    """

    kind: str = "natural"
    factor: float | None = None
    released: bool = False

    def to_config(self) -> str | dict[str, float]:
        """Return it as YAML would hold it."""
        if self.factor is None:
            return self.kind
        return {self.kind: self.factor, **({"released": True} if self.released else {})}

    def with_replacement(self) -> bool:
        """Whether a batch may contain an image twice."""
        return self.kind != "natural"

    def probabilities(self, class_counts: np.ndarray) -> np.ndarray | None:
        """Return the probability of each class from its training count; None for `natural`."""
        if self.kind == "natural":
            return None
        if self.kind == "brs":
            rank = np.argsort(np.argsort(-class_counts, kind="stable"), kind="stable")
            weight = float(self.factor or 0) ** (rank / max(len(class_counts) - 1, 1))
            if self.released:
                images = np.floor(class_counts.sum() * weight / weight.sum())
                images[rank.argmax()] += class_counts.sum() - images.sum()
                return images / class_counts.sum()
        else:
            weight = class_counts.astype(np.float64) ** (self.factor or 0)
        return weight / weight.sum()


def _mapping_schema(kind: str, **others: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of `{kind: number}`, with the schemas of other keys."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [kind],
        "properties": {kind: {"type": "number"}, **others},
    }


class ClassSamplingOption:
    """Parser of `natural`, `balanced`, `{power: a}`, `{brs: f}`, `{brs: f, released: true}`."""

    schema: ClassVar[dict[str, Any]] = {
        "anyOf": [
            {"enum": ["natural", "balanced"]},
            _mapping_schema("power"),
            _mapping_schema("brs", released={"type": "boolean"}),
        ]
    }

    def __call__(self, value: Any, path: KeyPath) -> ClassSampling:
        """Parse the value of a config."""
        if value in ("natural", "balanced"):
            return ClassSampling(value)
        kinds = [key for key in value if key != "released"] if isinstance(value, dict) else []
        if len(kinds) != 1:
            forms = "{power: a}, {brs: f} or {brs: f, released: true}"
            raise OptionError(path, f"must be natural, balanced, {forms}, not {value!r}")
        (kind,) = kinds
        factor, released = value[kind], value.get("released", False)
        if kind not in KINDS[2:]:
            raise OptionError(path, f"{kind!r} is no class sampling; {suggest(kind, KINDS)}")
        if isinstance(factor, bool) or not isinstance(factor, int | float):
            raise OptionError((*path, kind), f"must be a number, not {factor!r}")
        if kind == "brs" and not 0 < factor <= 1:
            raise OptionError((*path, kind), f"must be above 0 and at most 1, not {factor!r}")
        if not -10 <= factor <= 10:
            raise OptionError((*path, kind), f"must be between -10 and 10, not {factor!r}")
        if kind != "brs" and "released" in value:
            raise OptionError((*path, "released"), f"goes with brs, not with {kind}; leave it out")
        if not isinstance(released, bool):
            raise OptionError((*path, "released"), f"must be true or false, not {released!r}")
        return ClassSampling(kind, float(factor), released)
