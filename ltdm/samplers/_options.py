"""Options of a sample set: network, sampler, guidance and precision."""

from dataclasses import dataclass

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option
from ltdm.plumbing.registry import Part, PartOption, parse_part


@dataclass(frozen=True)
class SampleOptions:
    """Images to sample from a trained network, and how to sample them."""

    sampler: Part = option(
        lambda: parse_part("sampler", "ddim", ()),
        "The sampler: its name, or `{name: ..., options}`.",
        parser=PartOption("sampler"),
    )
    num_images: int = option(
        50_000,
        "Images in the set, the same number per class: a multiple of the number of classes, unless"
        " the network is unconditional.",
        low=1,
    )
    guidance: float = option(
        0.0,
        "Weight w of classifier-free guidance: D + w (D - D_null); 0 samples without guidance. EDM2"
        " writes 1 + w.",
        low=0,
    )
    guide_run: str | None = option(
        None,
        "A run of the same config with a weaker network, whose averaged weights guide in place of"
        " the network without labels (autoguidance): D + w (D - D_guide), under the same labels.",
    )
    weights: str = option("ema", "Averaged weights or the last ones.", choices=("ema", "last"))
    ema_sigma_rel: float | None = option(
        None,
        "Width, relative to the training's length, of a post-hoc EMA: an average of the weights"
        " made from the snapshots of `train.posthoc_ema`, in place of the run's own.",
        low=0.01,
        high=0.28,
    )
    precision: str = option(
        "fp32",
        "Precision of the network: tf32 is fp32 with the operands of products rounded to 10 bits of"
        " mantissa, on a CPU too; bf16 is autocast.",
        choices=("bf16", "fp32", "tf32"),
    )

    def __post_init__(self) -> None:
        """Refuse two kinds of weights, and a guide without guidance."""
        if self.guide_run is not None and not self.guidance:
            raise OptionError(
                ("guide_run",),
                "has no effect unless guidance is above 0; set guidance, or leave it out",
            )
        if self.ema_sigma_rel is not None and self.weights != "ema":
            message = f"is for averaged weights, and weights is {self.weights}; leave one out"
            raise OptionError(("ema_sigma_rel",), message)

    @property
    def sampler_label(self) -> str:
        """Name of the sampler, with its guide, in rows of results."""
        guided = f", guided by {self.guide_run}" if self.guide_run else ""
        return f"{self.sampler}{guided}"

    @property
    def weights_label(self) -> str:
        """Name of the weights in rows of results."""
        return self.weights if self.ema_sigma_rel is None else f"posthoc-{self.ema_sigma_rel}"
