"""The weight of guidance at each noise level, and of each class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from ltdm.diffusion._base import Process
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import KeyPath, suggest

W = TypeVar("W", float, Tensor)


@dataclass(frozen=True)
class GuidanceSchedule:
    """How the weight w of guidance depends on the noise level.

    With s the process's progress (t / T for `vp`, `term_weighting` for `edm`) and sigma the ratio
    of noise to signal, it is

        constant:               w
        linear:                 (w + 1) (1 - s) - 1
        gamma g, 1 and above:   (w + 1) g^-s - 1
        gamma g, below 1:       (w + 1) (1 - g^(1 - s)) - 1
        interval [low, high]:   w where low < sigma <= high, and 0 elsewhere.

    `linear` and `gamma` rise from about -1, the network without labels, towards w. They are those
    of the released code of CCUA (Chen et al., "Contrastive Conditional-Unconditional Alignment",
    2025). `interval` is that of Kynkaanniemi et al., "Applying Guidance in a Limited Interval
    Improves Sample and Distribution Quality in Diffusion Models", NeurIPS 2024.
    """

    kind: str = "constant"
    numbers: tuple[float, ...] = ()  # g of `gamma`, low and high of `interval`

    def __str__(self) -> str:
        """Write it for a row of results: `linear`, `gamma 100`, `interval 0.28 2.9`."""
        return " ".join([self.kind, *(f"{number:g}" for number in self.numbers)])

    def to_config(self) -> Any:
        """Return it as YAML would hold it."""
        if not self.numbers:
            return self.kind
        return {self.kind: list(self.numbers) if self.kind == "interval" else self.numbers[0]}

    def weight(self, guidance: W, process: Process, level: float) -> W | float:
        """Return the weight at a sampler's level; `guidance` is w, a number or a tensor of them."""
        if self.kind == "constant":
            return guidance
        if self.kind == "interval":
            (signal, std), (low, high) = process.signal_and_std(level), self.numbers
            return guidance if low * signal < std <= high * signal else 0.0
        s = float(process.noise_progress(torch.tensor([level])))  # on the host, without a wait
        if self.kind == "linear":
            factor = 1 - s
        else:
            (g,) = self.numbers
            factor = g**-s if g >= 1 else 1 - g ** (1 - s)
        return (guidance + 1) * factor - 1


def class_guidance(guidance: float, power: float, class_counts: Sequence[int]) -> list[float]:
    """Return the weight of guidance of each class y: w (p_y / p_mean)^-power.

    p_y is the frequency of the class in the training set, and p_mean = 1 / C their mean. A power
    above 0 guides rare classes more than frequent ones, below 0 less; 0 gives w to all. It is a
    control of ltdm's own: no paper on long tails has it.
    """
    mean = sum(class_counts) / len(class_counts)
    return [guidance * (count / mean) ** -power for count in class_counts]


class GuidanceScheduleOption:
    """Parser of `constant`, `linear`, `{gamma: g}` and `{interval: [low, high]}`."""

    schema: ClassVar[dict[str, Any]] = {
        "anyOf": [
            {"enum": ["constant", "linear"]},
            {
                "type": "object",
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
                "properties": {
                    "gamma": {"type": "number"},
                    "interval": {
                        "type": "array",
                        "items": {"type": "number"},
                        "minItems": 2,
                        "maxItems": 2,
                    },
                },
            },
        ]
    }

    def __call__(self, value: Any, path: KeyPath) -> GuidanceSchedule:
        """Parse the value of a config."""
        if value in ("constant", "linear"):
            return GuidanceSchedule(value)
        if not isinstance(value, dict) or len(value) != 1 or {"constant", "linear"} & {*value}:
            message = "must be constant, linear, {gamma: g} or {interval: [low, high]}"
            raise OptionError(path, f"{message}, not {value!r}")
        ((kind, numbers),) = value.items()
        if kind == "gamma":
            if not (_is_number(numbers) and numbers > 0):
                raise OptionError((*path, kind), f"must be a number above 0, not {numbers!r}")
            return GuidanceSchedule(kind, (float(numbers),))
        if kind == "interval":
            valid = isinstance(numbers, list) and len(numbers) == 2
            if not (valid and all(map(_is_number, numbers)) and 0 <= numbers[0] < numbers[1]):
                message = f"must be two values of sigma, the lower one first, not {numbers!r}"
                raise OptionError((*path, kind), message)
            return GuidanceSchedule(kind, (float(numbers[0]), float(numbers[1])))
        message = f"{kind!r} is no schedule; {suggest(kind, ('gamma', 'interval'))}"
        raise OptionError(path, message)


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number, and neither true nor false."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
