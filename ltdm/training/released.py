"""Released checkpoints of other codes, read as networks of ltdm.

A checkpoint of the pytorch-ddpm line of codes is a `torch.save` dictionary: `net_model` holds the
last weights (ltdm's "last"), `ema_model` the averaged ones (ltdm's "ema"); the rest is the state of
the training and is not read. One set never replaces the other: a file with one of them gives that
one alone, and a bare state dict, which may or may not be averaged, gives "last".
Only tensors and plain values are unpickled, so a file cannot run code.

The released U-Net is `ltdm.networks.unet` with other names in the time embedding, and with the
sinusoidal embedding as a table among the weights. A table of the formula is not loaded; one that
the averages have moved (`time_table`) is used as it is in the file.
Source: the codes pytorch-ddpm, CBDM-pytorch, IGD-ML and OC_LT.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ltdm.diffusion import vp
from ltdm.networks import unet
from ltdm.plumbing.errors import LtdmError, OptionError, shorten
from ltdm.plumbing.registry import Part
from ltdm.training.foreign_files import check_floats, read_content, unwrap_names
from ltdm.training.time_table import drift, own_table

TensorShapes = Mapping[str, tuple[int, ...]]  # by the tensors' names in the file
WEIGHT_SETS = {
    "net_model": "last",
    "ema_model": "ema",
    "global_model": "last",  # of a federated round, as is the next
    "global_ema_model": "ema",
}
"""The sets of weights, by their names in files, and ltdm's names of them."""
TIME_TABLE, OWN_TABLE = "time_embedding.timembedding.0.weight", "time_embedding.table"
"""Names of the table of the time embedding, in files and in ltdm."""
FILE_PREFIXES = {
    "time_embedding.mlp.0.": "time_embedding.timembedding.1.",
    "time_embedding.mlp.2.": "time_embedding.timembedding.3.",
}
"""Prefixes of tensors' names in ltdm, and those in files; all other names are the same."""
UNSUPPORTED_NETWORKS = {
    "time_embedding.mlp.": "a model of ltdm itself; name the checkpoint that it was made from",
    "cemb_proj": "IET-AGC's variant of the U-Net, with layers of its own for labels",
    "input_blocks.": "the U-Net of guided-diffusion",
    "down_blocks.": "the U-Net of diffusers",
    "map_noise.": "a network of EDM",
    "x_embedder.": "a transformer (DiT, SiT)",
}
"""Networks that cannot be read, by a part of their tensors' names."""
WEIGHT_OPTIONS = ("ch", "ch_mult", "attn", "num_res_blocks", "norm_groups")
"""The U-Net's options that decide the shapes of weights, and the groups: 32 in all these codes."""


class UNetShape(NamedTuple):
    """What the shapes of a U-Net's weights determine.

    Dropout and the initialisation leave no trace, so `options` has their defaults. An unconditional
    network has 0 classes; `augment_dim` is the length of the condition on augmentation, 0 for none;
    `timesteps` is T.
    """

    options: unet.Options
    channels: int
    classes: int
    augment_dim: int
    timesteps: int


@dataclass(frozen=True)
class ReleasedCheckpoint:
    """A network's shape and its sets of weights, "last" and "ema".

    Tensors are float32, under ltdm's names; a set's own time table is among them. `steps` is the
    file's `step`, 0 where it has none; `unread_keys` names the entries that are not read.
    """

    shape: UNetShape
    weights: Mapping[str, dict[str, Tensor]]
    steps: int
    unread_keys: list[str]

    @property
    def network(self) -> Part:
        """The network, as a config has it."""
        return Part("network", "unet", self.shape.options)

    @property
    def process(self) -> Part:
        """The process, as a config has it; files do not record betas, so they are the defaults."""
        return Part("process", "vp", vp.Options(T=self.shape.timesteps))

    @property
    def num_parameters(self) -> int:
        """The number of weights in one set, without the table of the time embedding."""
        tensors = next(iter(self.weights.values()))
        return sum(t.numel() for name, t in tensors.items() if name != OWN_TABLE)

    @property
    def table_drift(self) -> float:
        """The largest distance of a set's own time table from the formula; 0 if none has one."""
        tables = [t[OWN_TABLE] for t in self.weights.values() if OWN_TABLE in t]
        return max(map(drift, tables), default=0.0)

    @property
    def label_role(self) -> str:
        """How the network uses labels: "input", or "nothing" if it is unconditional."""
        return "input" if self.shape.classes else "nothing"


def read_checkpoint(path: Path) -> ReleasedCheckpoint:
    """Read a checkpoint; in the zip format of torch.save, tensors stay on disk until they are used.

    Raises:
        LtdmError: The file is missing or damaged, needs code, or holds another network.
    """
    content = read_content(path)
    sets = {k: v for k, v in content.items() if k in WEIGHT_SETS and isinstance(v, Mapping)}
    unread_keys = [str(key) for key in content if key not in sets and key != "step"]
    if not sets and content and all(isinstance(value, Tensor) for value in content.values()):
        sets, unread_keys = {"its state dict": content}, []
    if not sets:
        raise LtdmError(
            f"{path} has no net_model or ema_model, but {shorten(content)}; write its weights"
            " alone, torch.save({'ema_model': ...}, file)"
        )
    networks = {key: _match_tensors(f"{path}: {key}", tensors) for key, tensors in sets.items()}
    shapes = {shape for shape, _ in networks.values()}
    weights = {WEIGHT_SETS.get(key, "last"): tensors for key, (_, tensors) in networks.items()}
    if len(shapes) > 1:
        raise LtdmError(f"{path}: {' and '.join(sets)} are of different networks; write one alone")
    if len(weights) < len(networks):
        raise LtdmError(
            f"{path} has too many sets of weights, {' and '.join(sets)}; write one alone"
        )
    step = content.get("step")
    return ReleasedCheckpoint(shapes.pop(), weights, step if type(step) is int else 0, unread_keys)


def _match_tensors(place: str, content: Mapping[Any, Any]) -> tuple[UNetShape, dict[str, Tensor]]:
    """Return the shape of a state dict's network, and its tensors by ltdm's names."""
    in_file = unwrap_names(place, content)
    shapes = {name: tuple(t.shape) for name, t in in_file.items()}
    network = _infer_shape(place, shapes)
    with torch.device("meta"):
        empty = unet.UNet(*network[:-1]).state_dict()
    file_names = {name: _name_in_file(name) for name in empty}
    expected = {file_names[name]: tuple(t.shape) for name, t in empty.items()}
    expected[TIME_TABLE] = (network.timesteps, network.options.ch)
    mismatches = [
        _describe_mismatch(name, shapes, expected)
        for name in {**expected, **shapes}
        if shapes.get(name) != expected.get(name)
    ]
    if mismatches:
        raise LtdmError(
            f"{place} is not the U-Net that its first layers suggest: {shorten(mismatches)}"
        )
    check_floats(place, in_file)
    tensors = {name: in_file[file_name].float() for name, file_name in file_names.items()}
    table = own_table(place, in_file[TIME_TABLE])
    return network, tensors if table is None else {**tensors, OWN_TABLE: table}


def _describe_mismatch(name: str, shapes: TensorShapes, expected: TensorShapes) -> str:
    if name not in expected:
        return f"{name} is not known"
    if name not in shapes:
        return f"{name} is missing"
    return f"{name} is {shapes[name]}, not {expected[name]}"


def _infer_shape(place: str, shapes: TensorShapes) -> UNetShape:
    """Return the U-Net whose tensors have these shapes; LtdmError if there is none."""
    unsupported = (text for part, text in UNSUPPORTED_NETWORKS.items() if part in " ".join(shapes))
    network = next(unsupported, None)
    inner = sorted({n.removesuffix(TIME_TABLE) for n in shapes if n.endswith(f".{TIME_TABLE}")})
    if inner:
        raise LtdmError(
            f"{place} has its U-Net under the names {shorten([f'{n}*' for n in inner])}; write the"
            " state_dict() of that network alone"
        )
    try:
        if not network:
            return _shape_from_layers(shapes)
    except (LookupError, ArithmeticError, ValueError, OptionError):
        network = f"an unknown network, of {shorten(shapes)}"
    raise LtdmError(
        f"{place} is {network}; ltdm reads the U-Net of pytorch-ddpm, CBDM, IGD and OC_LT"
    )


def _shape_from_layers(shapes: TensorShapes) -> UNetShape:
    """Return the shape of a U-Net from its encoder's layers; LookupError where there are none."""
    timesteps, ch = shapes[TIME_TABLE]
    levels: list[list[str]] = [[]]  # the blocks of each resolution
    for n in range(len(shapes)):
        if f"downblocks.{n}.main.weight" in shapes:
            levels.append([])
        elif f"downblocks.{n}.block1.0.weight" in shapes:
            levels[-1].append(f"downblocks.{n}")
    options = unet.Options(
        ch=ch,
        ch_mult=tuple(shapes[f"{blocks[0]}.block2.0.weight"][0] // ch for blocks in levels),
        attn=tuple(
            i for i, blocks in enumerate(levels) if f"{blocks[0]}.attn.proj.weight" in shapes
        ),
        num_res_blocks=len(levels[0]),
    )
    if 0 in options.ch_mult:
        raise ValueError("a level has no channels")
    classes = shapes.get("label_embedding.weight", (0,))[0]
    augment_dim = shapes.get("augm_embedding.weight", (0, 0))[1]
    return UNetShape(options, shapes["head.weight"][1], classes, augment_dim, timesteps)


def _name_in_file(name: str) -> str:
    """Return a tensor's name in files from its name in ltdm."""
    for ltdm_prefix, file_prefix in FILE_PREFIXES.items():
        name = name.replace(ltdm_prefix, file_prefix)
    return name
