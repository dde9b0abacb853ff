"""The forward pass that networks share, and the encoder and decoder that U-Nets share."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from ltdm.networks._magnitude import MPLayer
from ltdm.networks._reserve import NO_PLAIN_ROWS, PlainRows
from ltdm.plumbing.errors import OptionError


class UNetOptions(Protocol):
    """The options that define a U-Net's resolution levels."""

    @property
    def ch(self) -> int:
        """Channels at full resolution."""

    @property
    def ch_mult(self) -> tuple[int, ...]:
        """Channels of each level as a multiple of `ch`."""

    @property
    def attn(self) -> tuple[int, ...]:
        """Indices of the levels with self-attention, counted from 0."""


BlockFactory = Callable[[int, int, bool], nn.Module]
"""Makes a block from its input channels, its output channels and whether it has attention."""
ResampleFactory = Callable[[int], nn.Module]
"""Makes a block that halves or doubles the resolution, from its number of channels."""


def check_levels(options: UNetOptions) -> None:
    """Check that there is a resolution level, and that attention is at existing levels.

    Raises:
        OptionError: `ch_mult` is empty, or `attn` has an index beyond its end.
    """
    if not options.ch_mult:
        raise OptionError(("ch_mult",), "is empty; list at least one level")
    if any(level >= len(options.ch_mult) for level in options.attn):
        last = len(options.ch_mult) - 1
        raise OptionError(("attn",), f"has an index beyond the levels; use 0 to {last}")


def build_encoder(
    options: UNetOptions,
    num_blocks: int,
    make_block: BlockFactory,
    make_downsample: ResampleFactory,
) -> tuple[nn.ModuleList, list[int]]:
    """Return the encoder's blocks and the channels of each skip connection.

    There are `num_blocks` blocks per level, and a downsampling block between two levels. The first
    skip is the output of the input layer.
    """
    blocks, skip_channels = nn.ModuleList(), [options.ch]
    for level, mult in enumerate(options.ch_mult):
        if level:
            blocks.append(make_downsample(skip_channels[-1]))
            skip_channels.append(skip_channels[-1])
        for _ in range(num_blocks):
            blocks.append(make_block(skip_channels[-1], options.ch * mult, level in options.attn))
            skip_channels.append(options.ch * mult)
    return blocks, skip_channels


def build_decoder(
    options: UNetOptions,
    num_blocks: int,
    skip_channels: list[int],
    make_block: BlockFactory,
    make_upsample: ResampleFactory,
) -> nn.ModuleList:
    """Return the decoder's blocks for the skips of `build_encoder`.

    There are `num_blocks` blocks per level, each of which takes a skip, and an upsampling block
    between two levels.
    """
    blocks, skips, width = nn.ModuleList(), list(skip_channels), skip_channels[-1]
    for level, mult in reversed(list(enumerate(options.ch_mult))):
        for _ in range(num_blocks):
            blocks.append(make_block(width + skips.pop(), options.ch * mult, level in options.attn))
            width = options.ch * mult
        if level:
            blocks.append(make_upsample(width))
    return blocks


def check(options: UNetOptions, size: int) -> None:
    """Check that the side of images, `size` pixels, can be halved between levels.

    It is the `check` of all U-Nets; see `NetworkModule`.
    """
    halvings = len(options.ch_mult) - 1
    if size % 2**halvings:
        raise OptionError(
            ("network", "ch_mult"),
            f"has {halvings + 1} levels, so the image side must be a multiple of {2**halvings},"
            f" and it is {size}; use fewer levels or resize the data",
        )


class Backbone(nn.Module):
    """A network with encoder, middle blocks and decoder: F = net(x, level, labels, augment).

    Shapes: x (B, channels, H, W), level (B,), labels (B,) integers with -1 for no label, augment
    (B, augment_dim) or None, which equals zeros; F is (B, channels, H, W).

    `outputs` selects what is returned: "F"; "z", the bottleneck (B, d), which is the flattened
    output of the middle blocks and needs no decoder; or "both", F and z, and with `plain` rows a
    third tensor, their F without the reserve. `decoder_blocks` = k > 0 returns instead the outputs
    of the first k decoder blocks, averaged over positions, (B, width) each, and computes nothing
    beyond them.

    The network runs in the type of its weights, except for the features of the noise level.

    A block maps h and the embedding to h. Each encoder block leaves a skip; a decoder block takes
    one if its `takes_skip` is true.
    """

    bottleneck_width: int  # channels of the middle blocks' output
    embedding: nn.Module
    head: nn.Conv2d | nn.Linear | MPLayer
    tail: nn.Module
    downblocks: nn.ModuleList
    middleblocks: nn.ModuleList
    upblocks: nn.ModuleList

    def embed(self, level: Tensor, labels: Tensor, augment: Tensor | None) -> Tensor:
        """Return the embedding (B, d) of levels, labels and augmentation."""
        return self.embedding(level, labels, augment)

    def project_in(self, x: Tensor) -> Tensor:
        """Apply the input layer to images (B, channels, H, W)."""
        return self.head(x)

    def project_out(self, h: Tensor) -> Tensor:
        """Return F from the output of the last block."""
        return self.tail(h)

    def merge_skip(self, h: Tensor, skip: Tensor) -> Tensor:
        """Concatenate the channels of the decoder's features and of a skip."""
        return torch.cat([h, skip], dim=1)

    def pool_positions(self, h: Tensor) -> Tensor:
        """Average a block's output (B, width, H, W) over positions, in float32: (B, width)."""
        return h.mean((2, 3), dtype=torch.float32)

    def run_decoder_block(
        self, block: nn.Module, h: Tensor, emb: Tensor, plain: PlainRows
    ) -> Tensor:
        """Run a block of the decoder; a network without a reserve treats all rows in one way."""
        return block(h, emb)

    def forward(
        self,
        x: Tensor,
        level: Tensor,
        labels: Tensor,
        augment: Tensor | None = None,
        outputs: str = "F",
        decoder_blocks: int = 0,
        plain: PlainRows = NO_PLAIN_ROWS,
    ) -> Tensor | tuple[Tensor, ...]:
        """Predict F, or what the options select; see the class for shapes."""
        rows = len(x)
        if not plain.shared:
            x, level, labels = (plain.repeat(t) for t in (x, level, labels))
            augment = None if augment is None else plain.repeat(augment)
        emb = self.embed(level, labels, augment)
        h = self.project_in(x.to(self.head.weight.dtype))
        skips = [h]
        for block in self.downblocks:
            h = block(h, emb)
            skips.append(h)
        for block in self.middleblocks:
            h = block(h, emb)
        z, features = h[:rows].flatten(1), []
        if outputs == "z":
            return z
        if plain.shared:
            h, emb, *skips = (plain.repeat(t) for t in (h, emb, *skips))
        for block in self.upblocks:
            if block.takes_skip:
                h = self.merge_skip(h, skips.pop())
            h = self.run_decoder_block(block, h, emb, plain)
            if decoder_blocks:
                features.append(self.pool_positions(h))
                if len(features) == decoder_blocks:
                    return tuple(features)
        F = self.project_out(h)
        if outputs == "F":
            return F
        return (F[:rows], z, F[rows:])[: 3 if plain.count else 2]
