"""Options of the training loop."""

from collections.abc import Sequence
from dataclasses import dataclass

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import Nested, option
from ltdm.training.augment import CONDITIONS
from ltdm.training.class_sampling import ClassSampling, ClassSamplingOption
from ltdm.training.ema import Posthoc


@dataclass(frozen=True)
class Ensemble:
    """How the training set is shared out, and for how long; the defaults are IET-AGC's.

    They stand here since a training without shards must not depend on the ensemble's code.
    """

    shards: int = option(10, "Shards of the training set.", low=1)
    rounds: int = option(10, "Times that the shards' networks are averaged.", low=1)
    epochs: int | None = option(
        None,
        "Epochs that a shard trains in a round (the paper's 100), in place of `steps`; left out,"
        " `steps` are those of all shards in all rounds, each with the same number.",
        low=1,
    )


@dataclass(frozen=True)
class TrainOptions:
    """How a network is fitted; the defaults are the papers' (CIFAR), but for the mirroring."""

    steps: int = option(300_000, "Optimiser steps.", low=1)
    batch_size: int = option(64, "Images a step.", low=1)
    lr: float = option(2e-4, "Adam's learning rate after the warm-up.", above=0)
    warmup_steps: int = option(5000, "Steps over which the learning rate rises from 0.", low=0)
    warmup_images: int | None = option(
        None, "Images, in place of `warmup_steps`, over which it rises.", low=1
    )
    lr_decay_images: int | None = option(
        None,
        "Images after which the learning rate falls, with the inverse square root of those shown;"
        " none: it stays.",
        low=1,
    )
    adam_betas: tuple[float, ...] = option(
        (0.9, 0.999), "Decays of Adam's two moments.", low=0, high=0.999999
    )
    grad_clip: float | None = option(
        1.0, "Largest norm of the gradient, larger ones are scaled down; none: of any.", above=0
    )
    ema_decay: float = option(
        0.9999, "Decay of the averaged weights, a step.", low=0, high=0.999999
    )
    posthoc_ema: Posthoc | None = option(
        None,
        "Snapshots of more averages, from which a sample set's `ema_sigma_rel` makes any other, as"
        " EDM2 does; the network's file holds them. `{}` takes the defaults.",
        parser=Nested(Posthoc),
    )
    label_dropout: float = option(
        0.1,
        "Chance that an image's label is hidden; guidance needs some, 1 makes the network"
        " unconditional.",
        low=0,
        high=1,
    )
    label_dropout_per: str = option(
        "image",
        "Whether each image's label is hidden by a draw of its own, or those of a whole batch by"
        " one, as in the released codes.",
        choices=("image", "batch"),
    )
    class_sampling: ClassSampling = option(
        ClassSampling(),
        "What fills a batch: every image alike (`natural`), every class alike (`balanced`), classes"
        " by count to a power (`{power: a}`), or CCUA's batch resampling (`{brs: f}`).",
        parser=ClassSamplingOption(),
    )
    augment: str = option(
        "none",
        "Mirror each image with chance 1/2 (`flip`), or flips, scaling, rotation, stretching and"
        " shifting that the network is told of (`ada`).",
        choices=("none", "flip", "ada"),
    )
    augment_prob: float = option(
        0.12, "Chance of each change but the mirroring, for `augment: ada`.", low=0, high=1
    )
    precision: str = option(
        "auto",
        "bf16 autocast (`bf16`), bf16 weights that follow fp32 ones (`bf16-master`: fewer kernels),"
        " or `fp32`; `auto` is bf16 on a GPU.",
        choices=("auto", "bf16", "bf16-master", "fp32"),
    )
    compile: bool = option(False, "Compile the network (GPU): slower start, faster updates.")
    graph: str = option(
        "auto",
        "Launch each update as one CUDA graph where that can be done: on a GPU, by one process"
        " (`auto`), or kernel by kernel (`none`).",
        choices=("auto", "none"),
    )
    gpus: int = option(
        1,
        "GPUs of one machine that train a run together, a process each; without a GPU, processes."
        " They share out each batch, so they must divide it. It is no part of what a run is: the"
        " result is the same but for rounding and, like on another device, for the dropout.",
        low=1,
        location=True,
    )
    init_from: str | None = option(
        None, "A run of the same config whose averaged weights this one starts from."
    )
    log_every: int = option(100, "Steps between two rows of history.csv.", low=1)
    ensemble: Ensemble | None = option(
        None,
        "Iterative ensemble training (IET): networks that each learn from a shard of the training"
        " set and are averaged every round; with any method. `{}` takes its defaults.",
        parser=Nested(Ensemble),
    )

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if len(self.adam_betas) != 2:
            raise OptionError(("adam_betas",), "must be two numbers")
        if self.posthoc_ema and self.ensemble:
            message = "goes with no ensemble, whose averages begin anew; leave one out"
            raise OptionError(("posthoc_ema",), message)
        if self.posthoc_ema and self.posthoc_ema.snapshots > self.steps:
            message = f"is {self.posthoc_ema.snapshots}, but there are only {self.steps} steps"
            raise OptionError(("posthoc_ema", "snapshots"), message)

    @property
    def conditional(self) -> bool:
        """Whether the network is ever told a label."""
        return self.label_dropout < 1

    def images_an_update(self, blocks: int) -> int:
        """Return the images of an update whose batch has so many equal blocks; 0 for none."""
        return max(1, self.batch_size // blocks) * blocks if blocks else self.batch_size

    def check_processes(self, number: int, blocks: int) -> None:
        """Refuse processes that cannot share out every batch, or each of its blocks, equally."""
        each = self.images_an_update(blocks) // max(blocks, 1)
        if each % number:
            fewer = f", of which {number} are here" if number < self.gpus else ""
            what = f"{each} images of each class" if blocks else f"a batch of {each}"
            raise OptionError(
                ("train", "gpus"),
                f"is {self.gpus}{fewer}, and {number} processes cannot share out {what} alike;"
                " change gpus or batch_size",
            )

    def check_batch(self, class_counts: Sequence[int], by_class: bool) -> None:
        """Refuse a batch larger than what it is drawn from."""
        total, blocks = sum(class_counts), len(class_counts) if by_class else 0
        each = self.images_an_update(blocks) // max(blocks, 1)
        if not by_class and self.batch_size > total:
            which = "smallest shard of the training set" if self.ensemble else "training set"
            message = f"is {self.batch_size}, but the {which} has only {total} images"
            fewer = ", or fewer shards" if self.ensemble else ""
            raise OptionError(("train", "batch_size"), f"{message}; take a smaller batch{fewer}")
        if by_class and 0 in class_counts:
            raise OptionError(
                ("train", "ensemble", "shards"),
                "leaves a shard without an image of some class, and the method trains on every"
                " class alike; take at most as many shards as the rarest class has images",
            )
        if by_class and each > min(class_counts) and not self.class_sampling.repeats():
            raise OptionError(
                ("train", "batch_size"),
                f"is {self.batch_size}, so each class shows {each} different images an update, but"
                f" one has only {min(class_counts)}; take a smaller batch, or class_sampling:"
                " balanced, which may show an image twice",
            )

    def told(self) -> int:
        """Return the length of the network's condition on an image's augmentation."""
        return CONDITIONS if self.augment == "ada" else 0
