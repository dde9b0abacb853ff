"""Options of the training loop."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import Nested, option
from ltdm.training.augment import CONDITION_DIM
from ltdm.training.class_sampling import ClassSampling, ClassSamplingOption
from ltdm.training.ema import PosthocEMA


@dataclass(frozen=True)
class Ensemble:
    """How the training set is split into shards, and for how long; the defaults are IET-AGC's.

    The class is here since a training without shards must not depend on the ensemble's code.
    """

    shards: int = option(10, "Shards of the training set.", low=1)
    rounds: int = option(10, "Rounds; each ends with the average of the shards' networks.", low=1)
    epochs: int | None = option(
        None,
        "Epochs per shard and round (the paper: 100), in place of `steps`; if unset, `steps` is the"
        " total over all shards and rounds, split equally.",
        low=1,
    )


@dataclass(frozen=True)
class TrainOptions:
    """How a network is trained; the defaults are the papers' (CIFAR), except for `augment`."""

    steps: int = option(300_000, "Training steps.", low=1)
    batch_size: int = option(64, "Images per training step.", low=1)
    lr: float = option(2e-4, "Adam's learning rate after the warm-up.", above=0)
    warmup_steps: int = option(5000, "Steps over which the learning rate rises from 0.", low=0)
    warmup_images: int | None = option(
        None, "Images over which the learning rate rises, in place of `warmup_steps`.", low=1
    )
    lr_decay_images: int | None = option(
        None,
        "Images after which the learning rate falls with the inverse square root of the images"
        " seen; null: it stays constant.",
        low=1,
    )
    adam_betas: tuple[float, ...] = option(
        (0.9, 0.999), "Decay rates of Adam's two moments.", low=0, high=0.999999
    )
    grad_clip: float | None = option(
        1.0,
        "Largest norm of the gradient; larger ones are scaled down; null: no clipping.",
        above=0,
    )
    ema_decay: float = option(
        0.9999, "Decay of the averaged weights per training step.", low=0, high=0.999999
    )
    posthoc_ema: PosthocEMA | None = option(
        None,
        "Post-hoc EMA, as in EDM2: snapshots of more averages, in the network's file, from which a"
        " sample set's `ema_sigma_rel` makes one of any width. `{}` takes the defaults.",
        parser=Nested(PosthocEMA),
    )
    label_dropout: float = option(
        0.1,
        "Probability that an image's label is dropped; guidance needs some dropout, and 1 makes the"
        " network unconditional.",
        low=0,
        high=1,
    )
    label_dropout_per: str = option(
        "image",
        "Whether labels are dropped independently per image, or all labels of a batch at once, as"
        " in the released codes. Adam then makes no step on the label embedding of `unet` and `mlp`"
        " in a batch without labels.",
        choices=("image", "batch"),
    )
    class_sampling: ClassSampling = option(
        ClassSampling(),
        "Distribution of a batch: uniform over images (`natural`) or over classes (`balanced`),"
        " classes by count to a power (`{power: a}`), or CCUA's batch resampling (`{brs: f}`, or"
        " with the released code's rounding: `{brs: f, released: true}`).",
        parser=ClassSamplingOption(),
    )
    augment: str = option(
        "none",
        "`flip` mirrors each image with probability 1/2; `ada` flips, scales, rotates, stretches"
        " and shifts images, and conditions the network on the change.",
        choices=("none", "flip", "ada"),
    )
    augment_prob: float = option(
        0.12, "Probability of each change except the mirroring, for `augment: ada`.", low=0, high=1
    )
    precision: str = option(
        "auto",
        "bf16 autocast (`bf16`), bf16 copies of fp32 weights (`bf16-master`: fewer kernels), or"
        " `fp32`; `auto` is bf16 on a GPU, fp32 on a CPU.",
        choices=("auto", "bf16", "bf16-master", "fp32"),
    )
    compile: bool = option(False, "Compile the network (GPU): slower start, faster steps.")
    graph: str = option(
        "auto",
        "Launch each step as one CUDA graph where possible, on one GPU (`auto`), or kernel by"
        " kernel (`none`).",
        choices=("auto", "none"),
    )
    gpus: int = option(
        1,
        "GPUs of one machine that train a run together, one process per GPU (on a CPU: processes)."
        " They split each batch, so their number must divide it. It does not affect the run's"
        " identity: results agree up to rounding and, as between devices, dropout noise.",
        low=1,
        location=True,
    )
    tensorboard: bool = option(
        False,
        "Write event files for TensorBoard in the run's folder, a point per row of history.csv. It"
        " needs the package tensorboard and changes no result.",
        location=True,
    )
    preview_every: int | None = option(
        None,
        "Training steps between two sheets of sample images in the run's folder, made from the"
        " averaged weights; null: none. They change no result.",
        low=1,
        location=True,
    )
    init_from: str | None = option(
        None, "Run of the same config from whose averaged weights this one starts."
    )
    log_every: int = option(100, "Steps between two rows of history.csv.", low=1)
    ensemble: Ensemble | None = option(
        None,
        "Iterative ensemble training (IET), with any method: networks are trained on shards of the"
        " training set and averaged every round. `{}` takes its defaults.",
        parser=Nested(Ensemble),
    )

    def __post_init__(self) -> None:
        """Refuse options that do not go together."""
        if len(self.adam_betas) != 2:
            raise OptionError(("adam_betas",), "must be two numbers")
        if self.tensorboard and not find_spec("tensorboard"):
            message = "needs the package tensorboard; run `pip install tensorboard`, or set it to"
            raise OptionError(("tensorboard",), f"{message} false")
        if self.posthoc_ema and self.ensemble:
            message = "cannot be used with an ensemble, whose averages restart; leave one out"
            raise OptionError(("posthoc_ema",), message)
        if self.posthoc_ema and self.posthoc_ema.snapshots > self.steps:
            snapshots = self.posthoc_ema.snapshots
            message = f"is {snapshots}, but there are only {self.steps} steps; lower it"
            raise OptionError(("posthoc_ema", "snapshots"), message)

    @property
    def conditional(self) -> bool:
        """Whether the network is conditioned on labels."""
        return self.label_dropout < 1

    def effective_batch_size(self, blocks: int) -> int:
        """Return the images per step; rounded for `blocks` equal blocks, unless that is 0."""
        return max(1, self.batch_size // blocks) * blocks if blocks else self.batch_size

    def check_processes(self, number: int, blocks: int) -> None:
        """Refuse a number of processes that does not divide the batch, or each of its blocks."""
        block_size = self.effective_batch_size(blocks) // max(blocks, 1)
        if block_size % number:
            fewer = f", of which {number} are available" if number < self.gpus else ""
            batch = f"{block_size} images of each class" if blocks else f"a batch of {block_size}"
            raise OptionError(
                ("train", "gpus"),
                f"is {self.gpus}{fewer}, and {number} processes cannot split {batch} equally;"
                " change gpus or batch_size",
            )

    def check_batch(self, class_counts: Sequence[int], class_blocks: bool) -> None:
        """Refuse a batch larger than the training set, or the shard, with these class counts.

        With `class_blocks`, the batch has one block per class, each checked against its class.
        """
        total = sum(class_counts)
        if class_blocks:
            self._check_blocks(class_counts)
        elif self.batch_size > total:
            name = "smallest shard of the training set" if self.ensemble else "training set"
            advice = "take a smaller batch" + (", or fewer shards" if self.ensemble else "")
            raise OptionError(
                ("train", "batch_size"),
                f"is {self.batch_size}, but the {name} has only {total} images; {advice}",
            )

    def _check_blocks(self, class_counts: Sequence[int]) -> None:
        """Refuse a class without images, or with fewer than its block of the batch."""
        if 0 in class_counts:
            raise OptionError(
                ("train", "ensemble", "shards"),
                "leaves a shard without an image of some class, but the method needs every class"
                " in every batch; take at most as many shards as the rarest class has images",
            )
        blocks = len(class_counts)
        block_size, rarest = self.effective_batch_size(blocks) // blocks, min(class_counts)
        if block_size > rarest and not self.class_sampling.with_replacement():
            raise OptionError(
                ("train", "batch_size"),
                f"is {self.batch_size}, so a step needs {block_size} different images of each"
                f" class, but one has only {rarest}; take a smaller batch, or class_sampling:"
                " balanced, which may repeat an image",
            )

    def augment_dim(self) -> int:
        """Return the length of the network's condition on augmentation, 0 without `ada`."""
        return CONDITION_DIM if self.augment == "ada" else 0
