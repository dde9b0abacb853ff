"""DDPM's U-Net with a class embedding, as in pytorch-ddpm and the codes derived from it.

Residual blocks with group norm, the embedding added in each, self-attention at chosen resolution
levels, skips concatenated in the decoder.
Source: Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020, appendix B; the class
embedding is CBDM's (Qin et al., CVPR 2023).
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltdm.networks import _unet
from ltdm.networks._embedding import ConditionedBackbone, TimeEmbedding, initialise
from ltdm.networks._norm import GroupNorm
from ltdm.networks._reserve import (
    NO_PLAIN_ROWS,
    Dropout,
    Layers,
    PlainRows,
    ReserveConv2d,
    init_reserve,
)
from ltdm.networks._unet import build_decoder, build_encoder, check_levels
from ltdm.plumbing.citations import HO2020
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option

CITATION = HO2020


@dataclass(frozen=True)
class Options:
    """Size of the U-Net; the defaults are the papers' 35.7 M network for 32 x 32."""

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
    dropout: float = option(0.1, "Dropout rate in each residual block.", low=0, high=0.99)
    norm_groups: int = option(32, "Groups of each group norm; divides `ch`.", low=1)
    label_layers: bool = option(
        False,
        "Labels have layers of their own, as in IET-AGC's code: an embedding of `ch` numbers, a"
        " perceptron, and a projection in each residual block. Else a label is one vector, added to"
        " the time embedding.",
    )
    reserve: float = option(
        0.0,
        "Rank of low-rank adapters of the decoder's 3 x 3 convolutions, as a ratio of the smaller"
        " number of their channels; CM's is 0.1. `sample.plain` leaves them out.",
        low=0,
        high=1,
    )
    zero_init_attention: bool = option(
        False,
        "Initialise attention's last layer near zero, as DDPM intends; the released codes do not.",
    )

    def __post_init__(self) -> None:
        """Refuse channels that group norm or the sines and cosines cannot divide."""
        check_levels(self)
        if self.ch % self.norm_groups:
            raise OptionError(("ch",), f"must be a multiple of norm_groups ({self.norm_groups})")
        if self.ch % 2:
            message = "must be even, since half of the time embedding is sines, half cosines"
            raise OptionError(("ch",), message)


def check(options: Options, size: int) -> None:
    """Check the levels, and that no group norm is over single numbers; see `NetworkModule`."""
    _unet.check(options, size)
    widths = [options.ch * mult for mult in (1, *options.ch_mult)]
    if size == 2 ** (len(options.ch_mult) - 1) and options.norm_groups in widths[-2:]:
        raise OptionError(
            ("network", "norm_groups"),
            f"is {options.norm_groups}, which leaves one number in each group of the last level, of"
            " 1 x 1 pixels, and its norm is always 0; lower it",
        )


def build(options: Options, channels: int, size: int, classes: int, augment_dim: int = 0) -> "UNet":
    """Make a network for square images; see `NetworkModule.build`."""
    check(options, size)
    return UNet(options, channels, classes, augment_dim)


class UNet(ConditionedBackbone):
    """DDPM's U-Net; see the module, and `Backbone` for shapes."""

    label_layers: nn.Sequential | None

    def __init__(self, options: Options, channels: int, classes: int, augment_dim: int):
        super().__init__()
        ch, tdim = options.ch, 4 * options.ch
        self.time_embedding = TimeEmbedding(ch, tdim)
        self.label_embedding = self.label_layers = None
        if classes and options.label_layers:
            perceptron = nn.Linear(ch, tdim), nn.SiLU(), nn.Linear(tdim, tdim)
            self.label_layers = nn.Sequential(nn.Embedding(classes, ch), *perceptron)
        elif classes:
            self.label_embedding = nn.Embedding(classes, tdim)
        self.head = nn.Conv2d(channels, ch, 3, padding=1)
        block = partial(ResBlock, options, self.label_layers is not None)
        self.downblocks, skip_channels = build_encoder(
            options, options.num_res_blocks, block, DownSample
        )
        self.bottleneck_width = deepest = skip_channels[-1]
        self.middleblocks = nn.ModuleList(
            block(deepest, deepest, attention) for attention in (True, False)
        )
        parts = (partial(part, reserve=options.reserve) for part in (block, UpSample))
        self.upblocks = build_decoder(options, options.num_res_blocks + 1, skip_channels, *parts)
        width = ch * options.ch_mult[0]  # of the decoder's last block
        self.tail = nn.Sequential(
            GroupNorm(options.norm_groups, width),
            nn.SiLU(),
            nn.Conv2d(width, channels, 3, padding=1),
        )
        final_layers = []
        for module in self.modules():
            if isinstance(module, ResBlock):
                final_layers.append(module.block2[-1])
            if isinstance(module, Attention) and options.zero_init_attention:
                final_layers.append(module.proj)
        initialise(self, [*final_layers, self.tail[-1]])
        self.augm_embedding = nn.Linear(augment_dim, tdim, bias=False) if augment_dim else None
        init_reserve(self)  # last, so that all other weights are the same without a reserve

    def run_decoder_block(
        self, block: nn.Module, h: Tensor, emb: Tensor, plain: PlainRows
    ) -> Tensor:
        """Run a block of the decoder, whose repeated rows go without the reserve."""
        return block(h, emb, plain)

    def embed(self, level: Tensor, labels: Tensor, augment: Tensor | None) -> Tensor:
        """Return the embedding; with label layers, the label's follows, and 1 if there is one."""
        emb = super().embed(level, labels, augment)
        if self.label_layers is None:
            return emb
        has_label = (labels >= 0).to(emb.dtype)[:, None]
        return torch.cat([emb, self.label_layers(labels.clamp(min=0)), has_label], 1)


class ResBlock(nn.Module):
    """Two 3 x 3 convolutions with the embedding added between, a shortcut, then attention."""

    takes_skip = True

    def __init__(
        self,
        options: Options,
        label_layers: bool,
        width: int,
        out: int,
        attention: bool,
        reserve: float = 0.0,
    ):
        super().__init__()
        self.tdim = tdim = 4 * options.ch
        self.block1 = Layers(
            GroupNorm(options.norm_groups, width), nn.SiLU(), ReserveConv2d(width, out, reserve)
        )
        self.temb_proj = nn.Sequential(nn.SiLU(), nn.Linear(tdim, out))
        self.label_proj = nn.Sequential(nn.SiLU(), nn.Linear(tdim, out)) if label_layers else None
        self.block2 = Layers(
            GroupNorm(options.norm_groups, out),
            nn.SiLU(),
            Dropout(options.dropout),
            ReserveConv2d(out, out, reserve),
        )
        self.shortcut = nn.Conv2d(width, out, 1) if width != out else nn.Identity()
        self.attn = Attention(out, options.norm_groups) if attention else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor, plain: PlainRows = NO_PLAIN_ROWS) -> Tensor:
        """Map (B, width, H, W) to (B, out, H, W); `emb` is of `UNet.embed`."""
        if self.label_proj is None:
            shift = self.temb_proj(emb)
        else:
            emb, label, has_label = emb.split([self.tdim, self.tdim, 1], dim=1)
            shift = self.temb_proj(emb) + has_label * self.label_proj(label)
        h = self.block1(x, plain) + shift[:, :, None, None]
        return self.attn(self.block2(h, plain) + self.shortcut(x))


class Attention(nn.Module):
    """Single-head self-attention over positions, added to its input."""

    def __init__(self, ch: int, norm_groups: int):
        super().__init__()
        self.group_norm = GroupNorm(norm_groups, ch)
        self.proj_q, self.proj_k, self.proj_v, self.proj = (nn.Conv2d(ch, ch, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, ch, H, W) to the same shape."""
        h = self.group_norm(x)
        parts = (self.proj_q(h), self.proj_k(h), self.proj_v(h))
        q, k, v = (part.flatten(2).transpose(1, 2)[:, None] for part in parts)
        h = F.scaled_dot_product_attention(q, k, v)[:, 0]
        return x + self.proj(h.transpose(1, 2).reshape(x.shape))


class DownSample(nn.Module):
    """Halves the resolution by a strided convolution."""

    def __init__(self, ch: int):
        super().__init__()
        self.main = nn.Conv2d(ch, ch, 3, stride=2, padding=1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Map (B, ch, H, W) to (B, ch, H/2, W/2); the embedding is not used."""
        return self.main(x)


class UpSample(nn.Module):
    """Doubles the resolution by repeating pixels, then convolves."""

    takes_skip = False

    def __init__(self, ch: int, reserve: float):
        super().__init__()
        self.main = ReserveConv2d(ch, ch, reserve)

    def forward(self, x: Tensor, emb: Tensor, plain: PlainRows = NO_PLAIN_ROWS) -> Tensor:
        """Map (B, ch, H, W) to (B, ch, 2H, 2W); the embedding is not used."""
        return self.main(F.interpolate(x, scale_factor=2, mode="nearest"), plain)
