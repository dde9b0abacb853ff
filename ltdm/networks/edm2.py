"""The U-Nets of EDM2's ablation: its configurations C, E and G.

C streamlines EDM's network: no biases (a channel of ones in the input replaces them), cosine
attention, Fourier features instead of positional embeddings. E adds forced weight normalisation in
every layer (`MPLayer`), which controls the effective learning rates. G also removes group norms and
makes sums, concatenations and activations magnitude-preserving.
Source: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", CVPR
2024, section 2 and appendix B.

The label's embedding is added to the noise level's. In E and G each class has a vector of its own
that keeps its norm. "No label" (-1) has one more. Vectors are normalised by x / (1e-4 + rms).

Released code: FutureXiang/edm2 (C, E and a G of its own, `g_variant: futurexiang`) and NVlabs/edm2
(G). The defaults are the former's for 32 x 32: 39,509,888 weights in C and E without labels,
37,871,517 in NVlabs' G, 39,542,685 in FutureXiang's.
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
"""The scale of noise levels that the frequencies of its Fourier features suit."""


@dataclass(frozen=True)
class Options:
    """Configuration and size; the defaults are the 39.5 M network for 32 x 32."""

    config: str = option("E", "Configuration of EDM2's ablation.", choices=("C", "E", "G"))
    ch: int = option(
        128, "Channels at full resolution; a multiple of `norm_groups`.", low=1, high=65_536
    )
    ch_mult: tuple[int, ...] = option(
        (1, 2, 2, 2),
        "Channels per resolution level as multiples of `ch`; each further level halves the side.",
        low=1,
        high=256,
    )
    attn: tuple[int, ...] = option(
        (1,), "Indices of the levels with self-attention, counted from 0.", low=0
    )
    num_res_blocks: int = option(
        2,
        "Residual blocks per level of the encoder; the decoder has one more per level.",
        low=1,
        high=100,
    )
    dropout: float = option(0.13, "Dropout rate in each residual block.", low=0, high=0.99)
    norm_groups: int = option(
        32,
        "Groups of each group norm (C, E), a multiple of 4; the last one has a quarter as many.",
        low=4,
    )
    head_channels: int | None = option(
        None, "Channels per attention head; null: one head in C and E, 64 channels in G.", low=1
    )
    g_variant: str = option(
        "nvlabs",
        "The released code that G follows: NVlabs' (`nvlabs`) or FutureXiang's (`futurexiang`),"
        " whose embedding has 4 `ch` channels, whose middle blocks normalise pixels, whose"
        " attention has one head, and whose embedding gains start at 1.",
        choices=("nvlabs", "futurexiang"),
    )

    def __post_init__(self) -> None:
        """Refuse sizes that do not divide, and a variant of G for other configurations."""
        check_levels(self)
        if self.ch % self.norm_groups or self.norm_groups % 4:
            message = f"must be a multiple of norm_groups ({self.norm_groups}), and that of 4"
            raise OptionError(("ch",), message)
        if self.g_variant != "nvlabs" and self.config != "G":
            message = f"needs config: G, but config is {self.config}; leave it out or change config"
            raise OptionError(("g_variant",), message)
        for level in (*self.attn, -1):  # the middle blocks have attention too
            width = self.ch * self.ch_mult[level]
            per_head = self.channels_per_head(width)
            if width % per_head:
                message = f"is {per_head}, which does not divide {width} channels; use a divisor"
                raise OptionError(("head_channels",), message)

    @property
    def embedding_dim(self) -> int:
        """Length of the embedding of noise level, label and augmentation."""
        return self.ch * (max(self.ch_mult) if self.nvlabs_g else 4)

    @property
    def nvlabs_g(self) -> bool:
        """Whether this is NVlabs' G."""
        return self.config == "G" and self.g_variant == "nvlabs"

    def channels_per_head(self, width: int) -> int:
        """Return the channels per attention head where features have `width` channels."""
        if self.head_channels:
            return self.head_channels
        return 64 if self.nvlabs_g else width


def build(options: Options, channels: int, size: int, classes: int, augment_dim: int = 0) -> "EDM2":
    """Make a network for square images; see `NetworkModule.build`."""
    check(options, size)
    return EDM2(options, channels, classes, augment_dim)


class EDM2(Backbone):
    """EDM2's U-Net; see the module, and `Backbone` for shapes."""

    def __init__(self, options: Options, channels: int, classes: int, augment_dim: int):
        super().__init__()
        self.magnitude_preserving = options.config == "G"
        block = partial(MPBlock if self.magnitude_preserving else Block, options)
        decoder_block = partial(block, encoder=False)
        self.embedding = Embedding(options, classes, augment_dim)
        self.head = make_layer(options, channels + 1, options.ch, 3)
        self.downblocks, skip_channels = build_encoder(
            options,
            options.num_res_blocks,
            block,
            lambda width: block(width, width, resample="down"),
        )
        self.bottleneck_width = deepest = skip_channels[-1]
        encoder = not options.nvlabs_g
        self.middleblocks = nn.ModuleList(
            block(deepest, deepest, attention, encoder=encoder) for attention in (True, False)
        )
        self.upblocks = build_decoder(
            options,
            options.num_res_blocks + 1,
            skip_channels,
            decoder_block,
            lambda width: decoder_block(width, width, resample="up"),
        )
        self.tail = make_layer(options, options.ch, channels, 3)
        self.norm_groups = options.norm_groups // 4
        self.gain = nn.Parameter(torch.zeros(())) if self.magnitude_preserving else None

    def project_in(self, x: Tensor) -> Tensor:
        """Apply the input layer to images with a channel of ones appended."""
        return self.head(torch.cat([x, torch.ones_like(x[:, :1])], dim=1))

    def merge_skip(self, h: Tensor, skip: Tensor) -> Tensor:
        """Concatenate the channels of the decoder's features and of a skip."""
        return mp_cat(h, skip) if self.magnitude_preserving else torch.cat([h, skip], dim=1)

    def project_out(self, h: Tensor) -> Tensor:
        """Return F from the output of the last block."""
        if self.magnitude_preserving:
            return self.tail(h, self.gain)
        return self.tail(nnf.silu(group_norm(h, self.norm_groups)))


class Embedding(nn.Module):
    """Fourier features of the level through one linear layer (G) or two, plus a label's vector."""

    def __init__(self, options: Options, classes: int, augment_dim: int):
        super().__init__()
        num_features, out = options.ch * options.ch_mult[0], options.embedding_dim
        self.magnitude_preserving = options.config == "G"
        self.waves = Fourier(num_features)
        self.first = make_layer(options, num_features, out)
        self.second = None if self.magnitude_preserving else make_layer(options, out, out)
        embedding = nn.Embedding if options.config == "C" else MPEmbedding
        self.labels = embedding(classes + 1, out) if classes else None
        self.augment = nn.Linear(augment_dim, out, bias=False) if augment_dim else None

    def forward(self, level: Tensor, labels: Tensor, augment: Tensor | None) -> Tensor:
        """Map levels (B,), labels (B,) and augment (B, augment_dim) to (B, embedding_dim)."""
        emb = self.waves(level).to(self.first.weight.dtype)
        if self.second is None:
            emb = self.first(2**0.5 * emb)
        else:
            emb = self.second(nnf.silu(self.first(emb)))
        if self.labels is not None:
            label_emb = self.labels(labels % self.labels.weight.shape[0])  # -1 is the last vector
            emb = mp_sum(emb, label_emb, 0.5) if self.magnitude_preserving else emb + label_emb
        if self.augment is not None and augment is not None:
            emb = emb + self.augment(augment.to(emb.dtype))
        return mp_silu(emb) if self.magnitude_preserving else nnf.silu(emb)
