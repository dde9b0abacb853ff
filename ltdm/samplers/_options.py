"""Options of a sample set: network, sampler, guidance and precision."""

from dataclasses import dataclass

from ltdm.diffusion._base import Process
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option
from ltdm.plumbing.registry import Part, PartOption, parse_part
from ltdm.samplers._guidance import GuidanceSchedule, GuidanceScheduleOption


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
        " the network is unconditional or `label` is none.",
        low=1,
    )
    guidance: float = option(
        0.0,
        "Weight w of classifier-free guidance: D + w (D - D_null); 0 samples without guidance. EDM2"
        " writes 1 + w.",
        low=0,
    )
    guidance_schedule: GuidanceSchedule = option(
        GuidanceSchedule(),
        "How the weight of guidance depends on the noise level: `constant`, CCUA's `linear` or"
        " `{gamma: g}`, which rise from -1 towards it, or `{interval: [low, high]}`, which guides"
        " only where the ratio of noise to signal, sigma, is above low and at most high.",
        parser=GuidanceScheduleOption(),
    )
    guidance_power: float = option(
        0.0,
        "Exponent a of the weight of each class y, w (p_y / p_mean)^-a, where p_y is the share of"
        " the class in the training set: above 0, rare classes are guided more than frequent ones.",
        low=-2,
        high=2,
    )
    label: str = option(
        "class",
        "Label of an image: its class, or none, which samples a network that was trained both with"
        " and without labels as an unconditional one.",
        choices=("class", "none"),
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
    plain: bool = option(
        False, "Sample without the network's reserve (`network.reserve`), the ablation of `cm`."
    )
    precision: str = option(
        "fp32",
        "Precision of the network: tf32 is fp32 with the operands of products rounded to 10 bits of"
        " mantissa, on a CPU too; bf16 is autocast.",
        choices=("bf16", "fp32", "tf32"),
    )

    def __post_init__(self) -> None:
        """Refuse two kinds of weights, and options that would have no effect."""
        if self.guidance_schedule != GuidanceSchedule() and not self.guidance:
            message = "has no effect unless guidance is above 0; set guidance, or this to constant"
            raise OptionError(("guidance_schedule",), message)
        if self.guidance_power and not self.guidance:
            message = "has no effect unless guidance is above 0; set guidance, or this to 0"
            raise OptionError(("guidance_power",), message)
        if self.label == "none" and self.guidance:
            message = (
                "is none, and guidance needs labels; set guidance to 0 beside it, or leave it out"
            )
            raise OptionError(("label",), message)
        if self.guide_run is not None and not self.guidance:
            raise OptionError(
                ("guide_run",),
                "has no effect unless guidance is above 0; set guidance, or this to null",
            )
        if self.ema_sigma_rel is not None and self.weights != "ema":
            message = f"is for averaged weights, and weights is {self.weights}; leave one out"
            raise OptionError(("ema_sigma_rel",), message)

    def guidance_weight(self, process: Process, level: float) -> float:
        """Return the weight of guidance at a level, without `guidance_power`; 0 where is none."""
        if not self.guidance:
            return 0.0
        return self.guidance_schedule.weight(self.guidance, process, level)

    @property
    def sampler_label(self) -> str:
        """Name of the sampler in rows of results, with whatever else was unusual."""
        notes = {
            f"guided by {self.guide_run}": self.guide_run is not None,
            f"guidance {self.guidance_schedule}": self.guidance_schedule != GuidanceSchedule(),
            f"guidance power {self.guidance_power:g}": self.guidance_power != 0,
            "without labels": self.label == "none",
            "without reserve": self.plain,
        }
        return ", ".join([str(self.sampler), *(note for note, is_set in notes.items() if is_set)])

    @property
    def weights_label(self) -> str:
        """Name of the weights in rows of results."""
        return self.weights if self.ema_sigma_rel is None else f"posthoc-{self.ema_sigma_rel}"
