"""What the configurations of `edm2` are made of: layers, blocks and attention."""

from typing import TYPE_CHECKING

import torch.nn.functional as nnf
from torch import Tensor, nn, ones, zeros

from ltdm.networks._magnitude import MPLayer, mp_silu, mp_sum, rms_normalise
from ltdm.networks._norm import group_norm

if TYPE_CHECKING:
    from ltdm.networks.edm2 import Options

CLIP = 256.0
"""Where E and G cut activations off, so that half precision holds them."""
RESIDUAL = 0.3
"""Share of a residual branch in a sum that keeps sizes."""


def make_layer(
    options: "Options", width: int, out: int, kernel: int = 0
) -> nn.Conv2d | nn.Linear | MPLayer:
    """Return a linear layer, or with the side of a kernel a convolution; neither has a bias."""
    if options.config != "C":
        return MPLayer(width, out, *((kernel, kernel) if kernel else ()))
    if kernel:
        return nn.Conv2d(width, out, kernel, padding=kernel // 2, bias=False)
    return nn.Linear(width, out, bias=False)


class Block(nn.Module):
    """Two 3 x 3 convolutions with the embedding as a scale between them, a shortcut, attention.

    `resample` is "down", "up" or nothing. The forward pass is C's and E's, whatever the direction.
    In G the embedding has a gain, and on the way down the first convolution sees the shortcut's
    output.
    """

    def __init__(
        self,
        options: "Options",
        width: int,
        out: int,
        attention: bool = False,
        *,
        resample: str = "",
        down: bool = True,
    ):
        super().__init__()
        self.options, self.resample, self.takes_skip = options, resample, resample != "up"
        self.down = down and options.config == "G"
        if options.config == "G":
            self.gain = nn.Parameter(zeros(()) if options.nvlabs_g else ones(()))
        self.conv1 = make_layer(options, out if self.down else width, out, 3)
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
        whole = self.attention(self.shortcut(self.resample_input(x)) + h)
        return whole.clip(-CLIP, CLIP) if self.options.config == "E" else whole

    def resample_input(self, x: Tensor) -> Tensor:
        """Halve or double the side, if the block does."""
        if self.resample == "down":
            return nnf.avg_pool2d(x, 2)
        return nnf.interpolate(x, scale_factor=2.0) if self.resample == "up" else x


class MPBlock(Block):
    """G's: sums and activations keep sizes, and no norm but one of pixels on the way down."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Map (B, width, H, W) to (B, out, H', W')."""
        x = self.resample_input(x)
        short = self.shortcut(x)
        if self.down:
            x = short = rms_normalise(short)
        h = self.conv1(mp_silu(x)) * (1 + self.modulation(emb, self.gain)[:, :, None, None])
        h = self.conv2(self.dropout(mp_silu(h)))
        return self.attention(mp_sum(short, h, RESIDUAL)).clip(-CLIP, CLIP)


class Attention(nn.Module):
    """Self-attention over positions in which queries, keys and values have norms of their own."""

    def __init__(self, options: "Options", width: int):
        super().__init__()
        self.heads, self.magnitude_preserving = (
            width // options.channels_per_head(width),
            options.config == "G",
        )
        self.qkv = make_layer(options, width, 3 * width, 1)
        self.proj = make_layer(options, width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        parts = self.qkv(x).flatten(2).unflatten(1, (self.heads, 3, -1))
        q, k, v = rms_normalise(parts, dim=3).transpose(3, 4).unbind(2)
        h = nnf.scaled_dot_product_attention(q, k, v)
        h = self.proj(h.transpose(2, 3).reshape(x.shape))
        return mp_sum(x, h, RESIDUAL) if self.magnitude_preserving else x + h
