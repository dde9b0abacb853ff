"""Options of a sample set."""

from dataclasses import dataclass

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option
from ltdm.plumbing.registry import Part, PartOption, parse_part


@dataclass(frozen=True)
class SampleOptions:
    """What is sampled from a trained network, and how."""

    sampler: Part = option(
        lambda: parse_part("sampler", "ddim", ()),
        "The sampler: its name, or `{name: ..., options}`.",
        parser=PartOption("sampler"),
    )
    num_images: int = option(
        50_000,
        "Images in the set, the same number of each class: a multiple of the classes, unless the"
        " network is unconditional.",
        low=1,
    )
    guidance: float = option(
        0.0,
        "Weight w of classifier-free guidance: D + w (D - D_null); 0 samples without. EDM2 writes"
        " 1 + w for it.",
        low=0,
    )
    guide_run: str | None = option(
        None,
        "A run of the same config, of a weaker network, whose averaged weights guide in place of"
        " the network without labels: D + w (D - D_guide), under the same labels.",
    )
    weights: str = option("ema", "Averaged weights or the last ones.", choices=("ema", "last"))
    ema_sigma_rel: float | None = option(
        None,
        "Width, relative to the training's length, of an average of the weights that is made from"
        " the snapshots of `train.posthoc_ema` and stands in for the run's own.",
        low=0.01,
        high=0.28,
    )
    precision: str = option(
        "fp32",
        "Precision of the network: tf32 is fp32 whose products round their operands to 10 bits of"
        " mantissa, on a CPU too; bf16 is autocast.",
        choices=("bf16", "fp32", "tf32"),
    )

    def __post_init__(self) -> None:
        """Refuse two sets of weights, and a guide that is not heard."""
        if self.guide_run is not None and not self.guidance:
            raise OptionError(("guide_run",), "is heard where guidance is above 0; set that")
        if self.ema_sigma_rel is not None and self.weights != "ema":
            message = f"asks for averaged weights, and weights is {self.weights}; leave one out"
            raise OptionError(("ema_sigma_rel",), message)

    @property
    def how(self) -> str:
        """What rows call the sampler."""
        guided = f", guided by {self.guide_run}" if self.guide_run else ""
        return f"{self.sampler}{guided}"

    @property
    def whose(self) -> str:
        """What rows call the weights."""
        return self.weights if self.ema_sigma_rel is None else f"posthoc-{self.ema_sigma_rel}"
