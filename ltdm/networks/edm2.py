"""The U-Nets of EDM2's ablation: its configurations C, E and G.

C streamlines EDM's network: no biases (a channel of ones stands in for them), cosine attention,
waves instead of positional embeddings. E also keeps the norm of every layer's weights (`MPLayer`),
which controls how fast they learn. G also drops group norms, and sums, concatenates and activates
so that sizes are kept.
Source: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", CVPR
2024, section 2 and appendix B.

A label's embedding is added to the level's; in E and G each class has a vector of its own whose
norm is kept, and "no label" (-1) is one more. Vectors are normalised by x / (1e-4 + rms).

Released code: FutureXiang/edm2 (C, E and a G of its own, `g_variant: futurexiang`) and NVlabs/edm2
(G). The defaults are the former's for 32 x 32: 39,509,888 weights in C and E without labels,
37,871,517 in NVlabs' G, 39,542,685 in the other.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from ltdm.networks._blocks import Block, MPBlock, make_layer
from ltdm.networks._magnitude import Fourier, MPEmbedding, mp_cat, mp_silu, mp_sum
from ltdm.networks._norm import group_norm
from ltdm.networks._unet import Backbone, build_decoder, build_encoder, check, check_levels
from ltdm.plumbing.citations import KARRAS2024
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option

CITATION = KARRAS2024
NOISE_CONDITIONING = "log_sigma"
"""The scale of the levels that its waves are made for."""


@dataclass(frozen=True)
class Options:
    """Configuration, size and shape; the defaults are the 39.5 M network for 32 x 32."""

    config: str = option("E", "The ablation's configuration.", choices=("C", "E", "G"))
    ch: int = option(128, "Channels at full resolution; a multiple of `norm_groups`.", low=1)
    ch_mult: tuple[int, ...] = option(
        (1, 2, 2, 2), "Channels of each level as a multiple of `ch`; each level halves the side.",
        low=1,
    )  # fmt: skip
    attn: tuple[int, ...] = option(
        (1,), "Indices of the levels with self-attention, counted from 0.", low=0
    )
    num_res_blocks: int = option(
        2, "Blocks a level on the way down; one more on the way up.", low=1
    )
    dropout: float = option(0.13, "Dropout inside each block.", low=0, high=0.99)
    norm_groups: int = option(
        32, "Groups of a group norm (C, E); a quarter as many in the last.", low=4
    )
    head_channels: int | None = option(
        None, "Channels of an attention head; none: all of them in C and E, 64 in G.", low=1
    )
    g_variant: str = option(
        "nvlabs",
        "Whose G: NVlabs' (`nvlabs`), or FutureXiang's (`futurexiang`): an embedding of 4 `ch`,"
        " normalised middle blocks, one head, and the embedding's gains beginning at 1.",
        choices=("nvlabs", "futurexiang"),
    )

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit together."""
        check_levels(self)
        if self.ch % self.norm_groups or self.norm_groups % 4:
            message = f"must be a multiple of norm_groups ({self.norm_groups}), and that of 4"
            raise OptionError(("ch",), message)
        if self.g_variant != "nvlabs" and self.config != "G":
            raise OptionError(("g_variant",), f"goes with config: G, and that is {self.config}")
        for level in (*self.attn, -1):  # the middle blocks have attention too
            width = self.ch * self.ch_mult[level]
            if width % self.channels_per_head(width):
                message = (
                    f"is {self.channels_per_head(width)}, which does not divide {width} channels"
                )
                raise OptionError(("head_channels",), message)

    @property
    def embedding_dim(self) -> int:
        """Length of the embedding of level and label."""
        return self.ch * (max(self.ch_mult) if self.nvlabs_g else 4)

    @property
    def nvlabs_g(self) -> bool:
        """Whether this is NVlabs' G."""
        return self.config == "G" and self.g_variant == "nvlabs"

    def channels_per_head(self, width: int) -> int:
        """Return the channels of an attention head among so many."""
        if self.head_channels:
            return self.head_channels
        return 64 if self.nvlabs_g else width


def build(options: Options, channels: int, size: int, classes: int, augment_dim: int = 0) -> "EDM2":
    """Make a network for square images; see `NetworkModule.build`."""
    check(options, size)
    return EDM2(options, channels, classes, augment_dim)


class EDM2(Backbone):
    """See the module, and `Backbone` for shapes."""

    def __init__(self, options: Options, channels: int, classes: int, augment_dim: int):
        super().__init__()
        self.magnitude_preserving = options.config == "G"
        block = partial(MPBlock if self.magnitude_preserving else Block, options)
        self.embedding = Embedding(options, classes, augment_dim)
        self.head = make_layer(options, channels + 1, options.ch, 3)
        up = partial(block, down=False)
        self.downblocks, widths = build_encoder(
            options,
            options.num_res_blocks,
            block,
            lambda width: block(width, width, resample="down"),
        )
        deepest, down = widths[-1], not options.nvlabs_g
        self.middleblocks = nn.ModuleList(
            block(deepest, deepest, attention, down=down) for attention in (True, False)
        )
        self.upblocks = build_decoder(
            options,
            options.num_res_blocks + 1,
            widths,
            up,
            lambda width: up(width, width, resample="up"),
        )
        self.tail = make_layer(options, options.ch, channels, 3)
        self.norm_groups = options.norm_groups // 4
        self.gain = nn.Parameter(torch.zeros(())) if self.magnitude_preserving else None

    def project_in(self, x: Tensor) -> Tensor:
        """Return what the first layer says of the images and a channel of ones."""
        return self.head(torch.cat([x, torch.ones_like(x[:, :1])], dim=1))

    def merge_skip(self, h: Tensor, skip: Tensor) -> Tensor:
        """Return the way up's channels and a skip's as one."""
        return mp_cat(h, skip) if self.magnitude_preserving else torch.cat([h, skip], dim=1)

    def project_out(self, h: Tensor) -> Tensor:
        """Return F from what the last block says."""
        if self.magnitude_preserving:
            return self.tail(h, self.gain)
        return self.tail(nnf.silu(group_norm(h, self.norm_groups)))


class Embedding(nn.Module):
    """Waves of the level through one linear layer (G) or two, and a vector for the label."""

    def __init__(self, options: Options, classes: int, augment_dim: int):
        super().__init__()
        waves, out = options.ch * options.ch_mult[0], options.embedding_dim
        self.magnitude_preserving = options.config == "G"
        self.waves = Fourier(waves)
        self.first = make_layer(options, waves, out)
        self.second = None if self.magnitude_preserving else make_layer(options, out, out)
        table = nn.Embedding if options.config == "C" else MPEmbedding
        self.labels = table(classes + 1, out) if classes else None
        self.augment = nn.Linear(augment_dim, out, bias=False) if augment_dim else None

    def forward(self, level: Tensor, labels: Tensor, augment: Tensor | None) -> Tensor:
        """Map levels (B,), labels (B,) and the augmentation's condition to (B, embedding)."""
        emb = self.waves(level).to(self.first.weight.dtype)
        if self.second is None:
            emb = self.first(2**0.5 * emb)
        else:
            emb = self.second(nnf.silu(self.first(emb)))
        if self.labels is not None:
            own = self.labels(labels % self.labels.weight.shape[0])  # -1 is the last
            emb = mp_sum(emb, own, 0.5) if self.magnitude_preserving else emb + own
        if self.augment is not None and augment is not None:
            emb = emb + self.augment(augment.to(emb.dtype))
        return mp_silu(emb) if self.magnitude_preserving else nnf.silu(emb)
