"""Layers, residual blocks and attention of the configurations of `edm2`."""

from typing import TYPE_CHECKING

import torch.nn.functional as nnf
from torch import Tensor, nn, ones, zeros

from ltdm.networks._magnitude import MPLayer, mp_silu, mp_sum, rms_normalise
from ltdm.networks._norm import group_norm

if TYPE_CHECKING:
    from ltdm.networks.edm2 import Options

MAX_ACTIVATION = 256.0
"""E and G clip activations to this magnitude, so that they fit into half precision."""
RESIDUAL_WEIGHT = 0.3
"""Weight of a residual branch in a magnitude-preserving sum."""


def make_layer(
    options: "Options", width: int, out: int, kernel: int = 0
) -> nn.Conv2d | nn.Linear | MPLayer:
    """Make a linear layer, or a convolution with a kernel of side `kernel`; neither has a bias."""
    if options.config != "C":
        return MPLayer(width, out, *((kernel, kernel) if kernel else ()))
    if kernel:
        return nn.Conv2d(width, out, kernel, padding=kernel // 2, bias=False)
    return nn.Linear(width, out, bias=False)


class Block(nn.Module):
    """Two 3 x 3 convolutions with a shortcut, then attention; the embedding scales between them.

    `resample` is "down", "up" or empty. The forward pass is that of C and E, where `encoder` has no
    effect. In G the embedding has a gain, and with `encoder` the first convolution takes the
    shortcut's output.
    """

    def __init__(
        self,
        options: "Options",
        width: int,
        out: int,
        attention: bool = False,
        *,
        resample: str = "",
        encoder: bool = True,
    ):
        super().__init__()
        self.options, self.resample, self.takes_skip = options, resample, resample != "up"
        self.shortcut_first = encoder and options.config == "G"
        if options.config == "G":
            self.gain = nn.Parameter(zeros(()) if options.nvlabs_g else ones(()))
        self.conv1 = make_layer(options, out if self.shortcut_first else width, out, 3)
        self.modulation = make_layer(options, options.embedding_dim, out)
        self.dropout = nn.Dropout(options.dropout)
        self.conv2 = make_layer(options, out, out, 3)
        self.shortcut = make_layer(options, width, out, 1) if width != out else nn.Identity()
        self.attention = Attention(options, out) if attention else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Map (B, width, H, W) to (B, out, H', W')."""
        norm_groups = self.options.norm_groups
        h = self.conv1(self.resample_input(nnf.silu(group_norm(x, norm_groups))))
        h = group_norm(h, norm_groups) * (1 + self.modulation(emb)[:, :, None, None])
        h = self.conv2(self.dropout(nnf.silu(h)))
        h = self.attention(self.shortcut(self.resample_input(x)) + h)
        return h.clip(-MAX_ACTIVATION, MAX_ACTIVATION) if self.options.config == "E" else h

    def resample_input(self, x: Tensor) -> Tensor:
        """Halve or double the resolution, if the block resamples."""
        if self.resample == "down":
            return nnf.avg_pool2d(x, 2)
        return nnf.interpolate(x, scale_factor=2.0) if self.resample == "up" else x


class MPBlock(Block):
    """G's block: magnitude-preserving, without group norms; the encoder normalises each pixel."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Map (B, width, H, W) to (B, out, H', W')."""
        x = self.resample_input(x)
        shortcut = self.shortcut(x)
        if self.shortcut_first:
            x = shortcut = rms_normalise(shortcut)
        h = self.conv1(mp_silu(x)) * (1 + self.modulation(emb, self.gain)[:, :, None, None])
        h = self.conv2(self.dropout(mp_silu(h)))
        h = self.attention(mp_sum(shortcut, h, RESIDUAL_WEIGHT))
        return h.clip(-MAX_ACTIVATION, MAX_ACTIVATION)


class Attention(nn.Module):
    """Cosine self-attention over positions: queries, keys and values are normalised vectors."""

    def __init__(self, options: "Options", width: int):
        super().__init__()
        self.heads = width // options.channels_per_head(width)
        self.magnitude_preserving = options.config == "G"
        self.qkv = make_layer(options, width, 3 * width, 1)
        self.proj = make_layer(options, width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        heads = self.qkv(x).flatten(2).unflatten(1, (self.heads, 3, -1))
        q, k, v = rms_normalise(heads, dim=3).transpose(3, 4).unbind(2)
        h = nnf.scaled_dot_product_attention(q, k, v)
        h = self.proj(h.transpose(2, 3).reshape(x.shape))
        return mp_sum(x, h, RESIDUAL_WEIGHT) if self.magnitude_preserving else x + h
