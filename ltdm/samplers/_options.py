"""Options of a sample set."""

from dataclasses import dataclass

from ltdm.options import option
from ltdm.registry import Part, PartOption, part


@dataclass(frozen=True)
class SampleOptions:
    """What is sampled from a trained network, and how."""

    sampler: Part = option(
        lambda: part("sampler", "ddim", ()),
        "The sampler: its name, or `{name: ..., options}`.",
        convert=PartOption("sampler"),
    )
    images: int = option(
        50_000,
        "Images in the set, the same number of each class: a multiple of the classes, unless the"
        " network is unconditional.",
        low=1,
    )
    guidance: float = option(
        0.0,
        "Weight w of classifier-free guidance: D + w (D - D_null); 0 samples without.",
        low=0,
    )
    weights: str = option("ema", "Averaged weights or the last ones.", choices=("ema", "raw"))
    precision: str = option("fp32", "Precision of the network.", choices=("bf16", "fp32"))
