"""What networks share: the way through them; and U-Nets their levels and which sides they take."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from ltdm.networks._magnitude import MPLayer
from ltdm.plumbing.errors import OptionError


class UNetOptions(Protocol):
    """The options that say what the levels are."""

    @property
    def ch(self) -> int:
        """Channels at full resolution."""

    @property
    def ch_mult(self) -> tuple[int, ...]:
        """Channels of each level as a multiple of `ch`."""

    @property
    def attn(self) -> tuple[int, ...]:
        """Levels with self-attention, counted from 0."""


BlockFactory = Callable[[int, int, bool], nn.Module]
"""A block from the channels that it sees and gives, and whether it has attention."""
ResampleFactory = Callable[[int], nn.Module]
"""A block that halves or doubles the side, from its channels."""


def check_levels(options: UNetOptions) -> None:
    """Refuse no level, and attention at one that is not there."""
    if not options.ch_mult:
        raise OptionError(("ch_mult",), "must name at least one level")
    if any(level >= len(options.ch_mult) for level in options.attn):
        raise OptionError(("attn",), f"counts levels from 0 to {len(options.ch_mult) - 1}")


def build_encoder(
    options: UNetOptions, number: int, make: BlockFactory, halve: ResampleFactory
) -> tuple[nn.ModuleList, list[int]]:
    """Return `number` blocks a level and those between levels, and the channels of each skip."""
    blocks, widths = nn.ModuleList(), [options.ch]
    for level, mult in enumerate(options.ch_mult):
        if level:
            blocks.append(halve(widths[-1]))
            widths.append(widths[-1])
        for _ in range(number):
            blocks.append(make(widths[-1], options.ch * mult, level in options.attn))
            widths.append(options.ch * mult)
    return blocks, widths


def build_decoder(
    options: UNetOptions,
    number: int,
    widths: list[int],
    make: BlockFactory,
    double: ResampleFactory,
) -> nn.ModuleList:
    """Return `number` blocks a level, each of which takes a skip, and those between levels."""
    blocks, skips, width = nn.ModuleList(), list(widths), widths[-1]
    for level, mult in reversed(list(enumerate(options.ch_mult))):
        for _ in range(number):
            blocks.append(make(width + skips.pop(), options.ch * mult, level in options.attn))
            width = options.ch * mult
        if level:
            blocks.append(double(width))
    return blocks


def check(options: UNetOptions, size: int) -> None:
    """Refuse images whose side (pixels) cannot be halved once a level; it is U-Nets' `check`."""
    halvings = len(options.ch_mult) - 1
    if size % 2**halvings:
        raise OptionError(
            ("network", "ch_mult"),
            f"has {halvings + 1} levels, so the image side must be a multiple of {2**halvings},"
            f" and it is {size}; take fewer levels or resize the data",
        )


class Backbone(nn.Module):
    """F = net(x, level, labels, augment).

    Shapes: x (B, channels, H, W), level (B,), labels (B,) integers with -1 for no label, augment
    (B, augment_dim) or None, which is the same as zeros; returns F (B, channels, H, W). With `outputs="both"`
    it returns F and the bottleneck z (B, d), flat, as it is after the middle blocks; with
    `outputs="z"` that alone, without the way up. With `taps` = k it returns the mean over positions of
    what each of the first k blocks of the way up says, (B, width), and computes no more.

    It runs in the type of its weights, but for the level's waves.

    A block maps h and the embedding to h. Each of the way down leaves a skip; those of the way up
    whose `takes_skip` is true take one.
    """

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
        """Return what the first layer says of the images."""
        return self.head(x)

    def project_out(self, h: Tensor) -> Tensor:
        """Return F from what the last block says."""
        return self.tail(h)

    def merge_skip(self, h: Tensor, skip: Tensor) -> Tensor:
        """Return the way up's channels and a skip's as one."""
        return torch.cat([h, skip], dim=1)

    def pool_positions(self, h: Tensor) -> Tensor:
        """Return the mean over positions of what a block says, (B, width)."""
        return h.mean((2, 3), dtype=torch.float32)

    def forward(
        self,
        x: Tensor,
        level: Tensor,
        labels: Tensor,
        augment: Tensor | None = None,
        outputs: str = "F",
        decoder_blocks: int = 0,
    ) -> Tensor | tuple[Tensor, ...]:
        """Predict F; see the class for shapes."""
        emb = self.embed(level, labels, augment)
        h = self.project_in(x.to(self.head.weight.dtype))
        skips = [h]
        for block in self.downblocks:
            h = block(h, emb)
            skips.append(h)
        for block in self.middleblocks:
            h = block(h, emb)
        z, features = h.flatten(1), []
        if outputs == "z":
            return z
        for block in self.upblocks:
            if block.takes_skip:
                h = self.merge_skip(h, skips.pop())
            h = block(h, emb)
            if decoder_blocks:
                features.append(self.pool_positions(h))
                if len(features) == decoder_blocks:
                    return tuple(features)
        F = self.project_out(h)
        return (F, z) if outputs == "both" else F
