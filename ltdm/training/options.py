"""Options of the training loop."""

from dataclasses import dataclass

from ltdm.options import option


@dataclass(frozen=True)
class TrainOptions:
    """How a network is fitted; the defaults are the papers' (DDPM, CBDM: CIFAR protocol)."""

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
    class_sampling: str = option(
        "natural",
        "Which images fill a batch: every image alike, or every class alike.",
        choices=("natural", "balanced"),
    )
    flip: bool = option(False, "Mirror each image with chance 1/2.")
    precision: str = option(
        "auto",
        "bf16 autocast or fp32; auto is bf16 on a GPU.",
        choices=("auto", "bf16", "fp32"),
    )
    compile: bool = option(False, "Compile the network (GPU): slower start, faster updates.")
    log_every: int = option(100, "Updates between two rows of history.csv.", low=1)
