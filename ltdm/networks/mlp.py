"""A perceptron with residual layers, for points; images are flattened.

The level's embedding, and with it the label's, is added in each layer, as the U-Net of DDPM has it.
Its bottleneck is what the first half of the layers says; the others are its way up, without skips.
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

    width: int = option(128, "Units of each layer, and of the embedding; even.", low=2)
    depth: int = option(3, "Residual layers, each of two linear ones.", low=2)

    def __post_init__(self) -> None:
        """Refuse an odd width."""
        if self.width % 2:
            raise OptionError(("width",), "must be even: half the embedding is sines, half cosines")


def check(options: Options, size: int) -> None:
    """Refuse no side (pixels): images are flattened, whatever they are."""


def build(options: Options, channels: int, size: int, classes: int, augment_dim: int = 0) -> "MLP":
    """Make a network for points, or for square images; see `NetworkModule.build`."""
    return MLP(options, channels, size, classes, augment_dim)


class MLP(ConditionedBackbone):
    """See the module, and `Backbone` for shapes."""

    def __init__(self, options: Options, channels: int, size: int, classes: int, augment_dim: int):
        super().__init__()
        width, half = options.width, options.depth // 2
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
        """Return what the first layer says of the images, (B, width)."""
        return self.head(x.flatten(1))

    def project_out(self, h: Tensor) -> Tensor:
        """Return F from what the last layer says."""
        return self.tail(h).unflatten(1, self.shape)

    def pool_positions(self, h: Tensor) -> Tensor:
        """Return what a layer says, which has no positions."""
        return h.float()


class Layer(nn.Module):
    """Two linear layers with the embedding added between them, and a shortcut."""

    takes_skip = False

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.told = nn.Linear(width, width)

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        """Map (B, width) to the same shape."""
        between = self.first(F.silu(h)) + self.told(F.silu(emb))
        return h + self.second(F.silu(between))
