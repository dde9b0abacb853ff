"""A multilayer perceptron with residual layers, for points; images are flattened.

The embedding of level and label is added in each layer, as in DDPM's U-Net. The bottleneck is the
output of the first half of the layers; the other half is the decoder, without skips.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ltdm.networks._embedding import ConditionedBackbone, TimeEmbedding, initialise
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option

CITATION = ""


@dataclass(frozen=True)
class Options:
    """Size of the perceptron."""

    width: int = option(
        128, "Units per layer and length of the embedding; even.", low=2, high=65_536
    )
    depth: int = option(3, "Residual layers, each with two linear layers.", low=2, high=1000)

    def __post_init__(self) -> None:
        """Refuse an odd width."""
        if self.width % 2:
            message = "must be even, since half of the level embedding is sines, half cosines"
            raise OptionError(("width",), message)


def check(options: Options, size: int) -> None:
    """Accept every image size, since images are flattened."""


def build(options: Options, channels: int, size: int, classes: int, augment_dim: int = 0) -> "MLP":
    """Make a network for points, or for square images; see `NetworkModule.build`."""
    return MLP(options, channels, size, classes, augment_dim)


class MLP(ConditionedBackbone):
    """The perceptron; see the module, and `Backbone` for shapes."""

    def __init__(self, options: Options, channels: int, size: int, classes: int, augment_dim: int):
        super().__init__()
        self.bottleneck_width = width = options.width
        half = options.depth // 2
        self.shape = (channels, size, size)
        self.time_embedding = TimeEmbedding(width, width)
        self.label_embedding = nn.Embedding(classes, width) if classes else None
        self.head = nn.Linear(channels * size**2, width)
        layers = [Layer(width) for _ in range(options.depth)]
        self.downblocks = nn.ModuleList()
        self.middleblocks = nn.ModuleList(layers[:half])
        self.upblocks = nn.ModuleList(layers[half:])
        self.tail = nn.Sequential(nn.SiLU(), nn.Linear(width, channels * size**2))
        initialise(self, [*(layer.second for layer in layers), self.tail[-1]])
        self.augm_embedding = nn.Linear(augment_dim, width, bias=False) if augment_dim else None

    def project_in(self, x: Tensor) -> Tensor:
        """Apply the input layer to flattened images: (B, width)."""
        return self.head(x.flatten(1))

    def project_out(self, h: Tensor) -> Tensor:
        """Return F from the output of the last layer."""
        return self.tail(h).unflatten(1, self.shape)

    def pool_positions(self, h: Tensor) -> Tensor:
        """Return a layer's output in float32: it has no positions to average over."""
        return h.float()


class Layer(nn.Module):
    """Two linear layers with a shortcut; the embedding is added between them."""

    takes_skip = False

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.embed = nn.Linear(width, width)

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        """Map (B, width) to the same shape."""
        hidden = self.first(F.silu(h)) + self.embed(F.silu(emb))
        return h + self.second(F.silu(hidden))
