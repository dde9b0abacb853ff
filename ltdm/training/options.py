"""Options of the training loop."""

from dataclasses import dataclass

from ltdm.options import option
from ltdm.training.augment import CONDITIONS
from ltdm.training.class_sampling import ClassSampling, ClassSamplingOption


@dataclass(frozen=True)
class TrainOptions:
    """How a network is fitted; the defaults are the papers' (CIFAR), but for the mirroring."""

    updates: int = option(300_000, "Optimiser updates.", low=1)
    batch: int = option(64, "Images an update.", low=1)
    lr: float = option(2e-4, "Adam's learning rate after the warm-up.", above=0)
    warmup: int = option(5000, "Updates over which the learning rate rises from 0.", low=0)
    clip: float = option(1.0, "Largest norm of the gradient; larger ones are scaled down.", above=0)
    ema: float = option(0.9999, "Decay of the averaged weights, an update.", low=0, high=0.999999)
    label_dropout: float = option(
        0.1,
        "Chance that an image's label is hidden; guidance needs some.",
        low=0,
        high=1,
    )
    class_sampling: ClassSampling = option(
        ClassSampling(),
        "What fills a batch: every image alike (`natural`), every class alike (`balanced`), classes"
        " by count to a power (`{power: a}`), or CCUA's batch resampling (`{brs: f}`).",
        convert=ClassSamplingOption(),
    )
    augment: str = option(
        "none",
        "Mirror each image with chance 1/2 (`flip`), or flips, scaling, rotation, stretching and"
        " shifting that the network is told of (`karras`).",
        choices=("none", "flip", "karras"),
    )
    augment_chance: float = option(
        0.12, "Chance of each change but the mirroring, for `augment: karras`.", low=0, high=1
    )
    precision: str = option(
        "auto",
        "bf16 autocast or fp32; auto is bf16 on a GPU.",
        choices=("auto", "bf16", "fp32"),
    )
    compile: bool = option(False, "Compile the network (GPU): slower start, faster updates.")
    log_every: int = option(100, "Updates between two rows of history.csv.", low=1)

    def told(self) -> int:
        """Return how many numbers the network is told of an image's augmentation."""
        return CONDITIONS if self.augment == "karras" else 0
