"""Released checkpoints of other codes, read as networks of ltdm.

A checkpoint of the pytorch-ddpm line of codes is a `torch.save` dictionary: `net_model` holds the
last weights (ltdm's "last"), `ema_model` the averaged ones (ltdm's "ema"); the rest is the state of
the training and is not read. One set never replaces the other: a file with one of them gives that
one alone, and a bare state dict, which may or may not be averaged, gives "last".
Only tensors and plain values are unpickled, so a file cannot run code.

The released U-Net is `ltdm.networks.unet` with other names in the time embedding, and with the
sinusoidal embedding as a table among the weights; the table is compared with the formula, not
loaded.
Source: the codes pytorch-ddpm, CBDM-pytorch, IGD-ML and OC_LT.
"""

import hashlib
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ltdm.diffusion import vp
from ltdm.networks import unet
from ltdm.plumbing.errors import LtdmError, OptionError, shorten
from ltdm.plumbing.files import explain_read_errors
from ltdm.plumbing.registry import Part

TensorShapes = Mapping[str, tuple[int, ...]]  # by the tensors' names in the file
WEIGHT_SETS = {
    "net_model": "last",
    "ema_model": "ema",
    "global_model": "last",  # of a federated round, as is the next
    "global_ema_model": "ema",
}
"""The sets of weights, by their names in files, and ltdm's names of them."""
TIME_TABLE = "time_embedding.timembedding.0.weight"
FILE_PREFIXES = {
    "time_embedding.mlp.0.": "time_embedding.timembedding.1.",
    "time_embedding.mlp.2.": "time_embedding.timembedding.3.",
}
"""Prefixes of tensors' names in ltdm, and those in files; all other names are the same."""
UNSUPPORTED_NETWORKS = {
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

    Tensors are float32, under ltdm's names. `steps` is the file's `step`, 0 where it has none;
    `unread_keys` names the entries of the file that are not read.
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
        """The number of weights in one set."""
        return sum(t.numel() for t in next(iter(self.weights.values())).values())

    @property
    def label_role(self) -> str:
        """How the network uses labels: "input", or "nothing" if it is unconditional."""
        return "input" if self.shape.classes else "nothing"


def read_checkpoint(path: Path) -> ReleasedCheckpoint:
    """Read a checkpoint; in the zip format of torch.save, tensors stay on disk until they are used.

    Raises:
        LtdmError: The file is missing or damaged, needs code, or holds another network.
    """
    content = _unpickle(path)
    sets = {k: v for k, v in content.items() if k in WEIGHT_SETS and isinstance(v, dict)}
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
    if len(shapes) > 1:
        raise LtdmError(f"{path}: {' and '.join(sets)} are of different networks; write one alone")
    weights = {WEIGHT_SETS.get(key, "last"): tensors for key, (_, tensors) in networks.items()}
    step = content.get("step")
    return ReleasedCheckpoint(shapes.pop(), weights, step if type(step) is int else 0, unread_keys)


def archive_digest(path: Path) -> str:
    """Return a digest of a checkpoint's content, 16 hex digits, the same wherever the file lies.

    It is made of the checksums in the zip archive; the old format of torch.save has none and is
    read entirely. LtdmError is raised if the file cannot be read.
    """
    with explain_read_errors(path, "file of torch.save", is_result=False), open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
        sums = sorted((i.filename, i.file_size, i.CRC) for i in zipfile.ZipFile(file).infolist())
    return hashlib.sha256(repr(sums).encode()).hexdigest()[:16]


def _unpickle(path: Path) -> dict[Any, Any]:
    """Load a dictionary of tensors and plain values; LtdmError where the file is anything else."""
    with explain_read_errors(path, "file of torch.save", is_result=False), open(path, "rb") as file:
        is_zip = zipfile.is_zipfile(file)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except Exception as error:  # the unpickler may raise anything on foreign bytes
        code = re.search(r"GLOBAL (\S+)", str(error))
        raise LtdmError(
            f"{path} needs {code[1]}, but ltdm unpickles only tensors and plain values; if you"
            " trust the file, load it yourself and write its weights alone,"
            " torch.save({'net_model': ..., 'ema_model': ...}, file)"
            if code
            else f"{path} is damaged, truncated, or no file of torch.save; download it again"
        ) from error
    if not isinstance(content, dict):
        raise LtdmError(f"{path} holds no dictionary of weights, but a {type(content).__name__}")
    return content


def _match_tensors(place: str, tensors: dict[Any, Any]) -> tuple[UNetShape, dict[str, Tensor]]:
    """Return the shape of a state dict's network, and its tensors by ltdm's names."""
    in_file = {str(name).removeprefix("module."): t for name, t in tensors.items()}
    shapes = {name: tuple(getattr(t, "shape", ())) for name, t in in_file.items()}
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
    table, formula = in_file[TIME_TABLE].double(), _sinusoidal_table(network)
    if not torch.allclose(table, formula, rtol=0, atol=1e-6 * network.timesteps):
        raise LtdmError(
            f"{place} uses a different time embedding from pytorch-ddpm's sinusoidal one, so it"
            " cannot be loaded into ltdm's U-Net"
        )
    return network, {name: in_file[file_name].float() for name, file_name in file_names.items()}


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
    classes = shapes.get("label_embedding.weight", (0,))[0]
    augment_dim = shapes.get("augm_embedding.weight", (0, 0))[1]
    return UNetShape(options, shapes["head.weight"][1], classes, augment_dim, timesteps)


def _sinusoidal_table(shape: UNetShape) -> Tensor:
    """Return the time embedding, float64 (T, ch): sin(t f_0), cos(t f_0), sin(t f_1), ..."""
    ch = shape.options.ch
    frequency = torch.exp(-math.log(10_000) * torch.arange(0, ch, 2, dtype=torch.float64) / ch)
    angle = torch.arange(shape.timesteps, dtype=torch.float64)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


def _name_in_file(name: str) -> str:
    """Return a tensor's name in files from its name in ltdm."""
    for ltdm_prefix, file_prefix in FILE_PREFIXES.items():
        name = name.replace(ltdm_prefix, file_prefix)
    return name
