"""Which classes fill a batch."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import KeyPath, suggest

LAWS = ("natural", "balanced", "power", "brs")


@dataclass(frozen=True)
class ClassSampling:
    """A law of the class of each image in a batch.

    `natural`: every image has the same chance. `balanced`: every class has. `power: a`: that of
    class c is proportional to n_c ** a, where n_c is its training count. `brs: f`: to
    f ** (r / (C - 1)) for the r-th most frequent of C classes, from r = 0: the batch resampling of
    CCUA (Chen et al., "Contrastive Conditional-Unconditional Alignment", 2025).
    """

    law: str = "natural"
    factor: float | None = None

    def to_config(self) -> str | dict[str, float]:
        """Return what YAML would hold."""
        return self.law if self.factor is None else {self.law: self.factor}

    def repeats(self) -> bool:
        """Whether a batch may show an image twice."""
        return self.law != "natural"

    def chances(self, sizes: np.ndarray) -> np.ndarray | None:
        """Return the chance of each class for its training counts; None for `natural`."""
        if self.law == "natural":
            return None
        if self.law == "brs":
            rank = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
            weight = float(self.factor or 0) ** (rank / max(len(sizes) - 1, 1))
        else:
            weight = sizes.astype(np.float64) ** (self.factor or 0)
        return weight / weight.sum()


class ClassSamplingOption:
    """Parser of `natural`, `balanced`, `{power: a}` and `{brs: f}`."""

    schema: ClassVar[dict[str, Any]] = {
        "anyOf": [
            {"enum": ["natural", "balanced"]},
            *(
                {
                    "type": "object", "additionalProperties": False, "required": [law],
                    "properties": {law: {"type": "number"}},
                }
                for law in ("power", "brs")
            ),
        ]
    }  # fmt: skip

    def __call__(self, value: Any, path: KeyPath) -> ClassSampling:
        """Parse what the config gives."""
        if value in ("natural", "balanced"):
            return ClassSampling(value)
        if not isinstance(value, dict) or len(value) != 1:
            raise OptionError(
                path, f"must be natural, balanced, {{power: a}} or {{brs: f}}, not {value!r}"
            )
        ((law, factor),) = value.items()
        if law not in LAWS[2:]:
            raise OptionError(path, f"no law is called {law!r}; {suggest(law, LAWS)}")
        if isinstance(factor, bool) or not isinstance(factor, int | float):
            raise OptionError((*path, law), f"must be a number, not {factor!r}")
        if law == "brs" and not 0 < factor <= 1:
            raise OptionError((*path, law), f"must be above 0 and at most 1, not {factor!r}")
        if not -10 <= factor <= 10:
            raise OptionError((*path, law), f"must be between -10 and 10, not {factor!r}")
        return ClassSampling(law, float(factor))
