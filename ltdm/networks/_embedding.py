"""Embeddings of noise level, label and augmentation for networks in the line of DDPM's."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ltdm.networks._unet import Backbone


class ConditionedBackbone(Backbone):
    """A backbone whose embedding is the sum of those of level, label and augmentation.

    The label -1 means "no label": its embedding is exactly zero. `label_embedding` is None in an
    unconditional network, `augm_embedding` in one that is not conditioned on an augmentation.
    """

    time_embedding: "TimeEmbedding"
    label_embedding: nn.Embedding | None
    augm_embedding: nn.Linear | None

    def embed(self, level: Tensor, labels: Tensor, augment: Tensor | None) -> Tensor:
        """Return the embedding (B, d) of levels, labels and augmentation."""
        emb = self.time_embedding(level)
        if self.label_embedding is not None:
            has_label = (labels >= 0).to(emb.dtype)[:, None]
            emb = emb + self.label_embedding(labels.clamp(min=0)) * has_label
        if self.augm_embedding is not None and augment is not None:
            emb = emb + self.augm_embedding(augment.to(emb.dtype))
        return emb


def label_parameters(net: nn.Module) -> list[nn.Parameter]:
    """Return a network's weights that nothing uses in a batch without labels.

    They are those of the modules whose names begin with `label_`. EDM2's network has none: its "no
    label" is a vector of the same table.
    """
    return [p for name, p in net.named_parameters() if ".label_" in f".{name}"]


class TimeEmbedding(nn.Module):
    """`ch` interleaved sines and cosines of the level, then a two-layer perceptron.

    `table`, float32 (T, ch), replaces the sines and cosines of the levels 0 .. T-1 if it is set.
    It is set where loaded weights have one: a released network that was averaged for long, which
    changes its constants too. Networks that are trained from the start have none.
    """

    frequency: Tensor
    table: Tensor | None

    def __init__(self, ch: int, tdim: int):
        super().__init__()
        exponent = torch.arange(0, ch, 2, dtype=torch.float64) / ch
        frequency = torch.exp(-math.log(10_000) * exponent).float()
        self.register_buffer("frequency", frequency, persistent=False)
        self.register_buffer("table", None)
        self.mlp = nn.Sequential(nn.Linear(ch, tdim), nn.SiLU(), nn.Linear(tdim, tdim))

    def forward(self, level: Tensor) -> Tensor:
        """Map levels (B,) to embeddings (B, tdim); with a table they are whole numbers."""
        if self.table is None:
            angle = level.to(self.frequency.dtype)[:, None] * self.frequency
            features = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
        else:
            features = self.table[level]
        return self.mlp(features.to(next(self.mlp.parameters()).dtype))

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Make room for the weights' table, or remove the own one, before weights are loaded."""
        table = state.get(f"{prefix}table")
        self.table = (
            None if table is None else torch.empty_like(table, device=self.frequency.device)
        )
        super()._load_from_state_dict(state, prefix, *rest)


def initialise(net: nn.Module, final_layers: Iterable[nn.Module]) -> None:
    """Initialise weights by Xavier's uniform law and biases to zero.

    `final_layers`, the last layers of residual branches and of the network, get a gain of 1e-5, so
    that they start near zero.
    """
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for gain, group in ((1.0, layers), (1e-5, final_layers)):
        for layer in group:
            nn.init.xavier_uniform_(layer.get_parameter("weight"), gain)
            nn.init.zeros_(layer.get_parameter("bias"))
