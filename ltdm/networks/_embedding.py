"""What networks in the line of DDPM's get beside images: level, label and augmentation."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ltdm.networks._unet import Backbone


class ConditionedBackbone(Backbone):
    """A network that adds its embeddings of level, label and augmentation.

    The label -1 means "no label": its embedding is exactly zero. An unconditional network has no
    `label_embedding`, and one without augmentation no `augm_embedding`: they are None.
    """

    time_embedding: "TimeEmbedding"
    label_embedding: nn.Embedding | None
    augm_embedding: nn.Linear | None

    def embed(self, level: Tensor, labels: Tensor, augment: Tensor | None) -> Tensor:
        """Return the embedding (B, d) of levels, labels and augmentation."""
        emb = self.time_embedding(level)
        if self.label_embedding is not None:
            known = (labels >= 0).to(emb.dtype)[:, None]
            emb = emb + self.label_embedding(labels.clamp(min=0)) * known
        if self.augm_embedding is not None and augment is not None:
            emb = emb + self.augm_embedding(augment.to(emb.dtype))
        return emb


class TimeEmbedding(nn.Module):
    """Sines and cosines of the level, interleaved, then a two-layer perceptron."""

    frequency: Tensor

    def __init__(self, ch: int, tdim: int):
        super().__init__()
        exponent = torch.arange(0, ch, 2, dtype=torch.float64) / ch
        frequency = torch.exp(-math.log(10_000) * exponent).float()
        self.register_buffer("frequency", frequency, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(ch, tdim), nn.SiLU(), nn.Linear(tdim, tdim))

    def forward(self, level: Tensor) -> Tensor:
        """Map levels (B,) to embeddings (B, tdim)."""
        angle = level.to(self.frequency.dtype)[:, None] * self.frequency
        waves = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
        return self.mlp(waves.to(next(self.mlp.parameters()).dtype))


def initialise(net: nn.Module, ends: Iterable[nn.Module]) -> None:
    """Draw weights from Xavier's uniform law, near zero in `ends`; biases start at zero.

    The ends are the last layers of residual branches and of the network.
    """
    layers = [one for one in net.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    for gain, group in ((1.0, layers), (1e-5, ends)):
        for weight, bias in (layer.parameters() for layer in group):
            nn.init.xavier_uniform_(weight, gain)
            nn.init.zeros_(bias)
