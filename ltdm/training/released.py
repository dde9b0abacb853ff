"""Checkpoints that others released, read as networks of ours.

A checkpoint of the pytorch-ddpm line of codes is a `torch.save` dictionary: `net_model` holds the
last weights, which are our "last" ones, `ema_model` the averaged ones, our "ema"; the rest is the
state of the training and is left out. One set never stands for the other: a file with one of them
gives that one alone, and a bare state dict, which does not say that it is averaged, gives "last".
Nothing is unpickled but tensors and plain values, so a file cannot run code.

Their U-Net is `ltdm.networks.unet` with other names in the time embedding, and with its sines and
cosines as a table among the weights; the table is compared with the formula, not loaded.
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

Sizes = Mapping[str, tuple[int, ...]]  # of tensors, by the names that files give them
SETS = {
    "net_model": "last", "ema_model": "ema",
    "global_model": "last", "global_ema_model": "ema",  # of a federated round
}  # fmt: skip
"""What files call their sets of weights, and what we do."""
TABLE = "time_embedding.timembedding.0.weight"
RENAMED = {
    "time_embedding.mlp.0.": "time_embedding.timembedding.1.",
    "time_embedding.mlp.2.": "time_embedding.timembedding.3.",
}
"""What we call tensors, and what files do; all others have the same names."""
OTHERS = {
    "cemb_proj": "IET-AGC's variant of the U-Net, where labels go in by layers of their own",
    "input_blocks.": "the U-Net of guided-diffusion",
    "down_blocks.": "the U-Net of diffusers",
    "map_noise.": "a network of EDM",
    "x_embedder.": "a transformer (DiT, SiT)",
}
"""Networks that are not read, by a part of their tensors' names."""
DECIDED = ("ch", "ch_mult", "attn", "num_res_blocks", "norm_groups")
"""The U-Net's options that weights depend on; the groups are 32 in all of these codes."""


class Shape(NamedTuple):
    """What the shapes of a U-Net's weights show: its options, and what it is made for.

    Dropout and the first weights leave no trace and are the defaults. An unconditional network has
    0 classes; `told` is the length of the augmentation's condition, 0 for none; `levels` is T.
    """

    options: unet.Options
    channels: int
    classes: int
    told: int
    levels: int


@dataclass(frozen=True)
class Released:
    """What a checkpoint holds: a network's shape and its sets of weights, "last" and "ema".

    Tensors are float32, under our names. `updates` is the file's `step`, 0 where it has none;
    `left_out` are the entries of the file that are not read.
    """

    shape: Shape
    weights: Mapping[str, dict[str, Tensor]]
    updates: int
    left_out: list[str]

    @property
    def network(self) -> Part:
        """The network, as a config has it."""
        return Part("network", "unet", self.shape.options)

    @property
    def process(self) -> Part:
        """The process, as a config has it; no file says its betas, so they are the defaults."""
        return Part("process", "vp", vp.Options(T=self.shape.levels))

    @property
    def parameters(self) -> int:
        """Its weights, in one set."""
        return sum(t.numel() for t in next(iter(self.weights.values())).values())

    @property
    def label(self) -> str:
        """What a label does: it is the network's "input" or "nothing"."""
        return "input" if self.shape.classes else "nothing"


def read(path: Path) -> Released:
    """Read a checkpoint; of one in today's format, tensors stay on the disk until they are used.

    Raises:
        LtdmError: The file is missing, damaged, asks for code, or holds another network.
    """
    held = _unpickled(path)
    sets = {key: value for key, value in held.items() if key in SETS and isinstance(value, dict)}
    left_out = [str(key) for key in held if key not in sets and key != "step"]
    if not sets and held and all(isinstance(value, Tensor) for value in held.values()):
        sets, left_out = {"its state dict": held}, []
    if not sets:
        raise LtdmError(
            f"{path} has no net_model or ema_model, but {shorten(held)}; write its weights alone,"
            " torch.save({'ema_model': ...}, file)"
        )
    found = {key: _fitted(f"{path}: {key}", tensors) for key, tensors in sets.items()}
    shapes = {shape for shape, _ in found.values()}
    if len(shapes) > 1:
        raise LtdmError(f"{path}: {' and '.join(sets)} are of different networks")
    weights = {SETS.get(key, "last"): tensors for key, (_, tensors) in found.items()}
    step = held.get("step")
    return Released(shapes.pop(), weights, step if type(step) is int else 0, left_out)


def content(path: Path) -> str:
    """Return a digest that changes with what a checkpoint holds, wherever it lies.

    It is made of the checksums that the archive itself keeps; the old format has none and is read
    whole. A file that cannot be read raises LtdmError.
    """
    with explain_read_errors(path, is_result=False), open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
        sums = sorted((i.filename, i.file_size, i.CRC) for i in zipfile.ZipFile(file).infolist())
    return hashlib.sha256(repr(sums).encode()).hexdigest()[:16]


def _unpickled(path: Path) -> dict[Any, Any]:
    with explain_read_errors(path, is_result=False), open(path, "rb") as file:
        today = zipfile.is_zipfile(file)
    try:
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=today)
    except Exception as error:  # a stranger's bytes make the unpickler raise anything
        asked = re.search(r"GLOBAL (\S+)", str(error))
        raise LtdmError(
            f"{path} asks for {asked[1]}, and ltdm unpickles nothing but tensors and plain values;"
            " where you trust the file, load it yourself and write its weights alone,"
            " torch.save({'net_model': ..., 'ema_model': ...}, file)"
            if asked
            else f"{path} is damaged, cut short, or no file of torch.save; fetch it again"
        ) from error
    if not isinstance(held, dict):
        raise LtdmError(f"{path} holds no dictionary of weights, but a {type(held).__name__}")
    return held


def _fitted(where: str, named: dict[Any, Any]) -> tuple[Shape, dict[str, Tensor]]:
    """Return what network a state dict is of, and its tensors by our names."""
    theirs = {str(name).removeprefix("module."): t for name, t in named.items()}
    sizes = {name: tuple(getattr(t, "shape", ())) for name, t in theirs.items()}
    shape = _shape(where, sizes)
    with torch.device("meta"):
        outline = unet.UNet(*shape[:-1]).state_dict()
    names = {ours: _their_name(ours) for ours in outline}
    wanted = {names[ours]: tuple(t.shape) for ours, t in outline.items()}
    wanted[TABLE] = (shape.levels, shape.options.ch)
    odd = [_misfit(n, sizes, wanted) for n in {**wanted, **sizes} if sizes.get(n) != wanted.get(n)]
    if odd:
        raise LtdmError(f"{where} is not the U-Net that its first layers promise: {shorten(odd)}")
    if not torch.allclose(theirs[TABLE].double(), _waves(shape), rtol=0, atol=1e-6 * shape.levels):
        raise LtdmError(
            f"{where} has another time embedding than the sines and cosines of pytorch-ddpm, so"
            " ltdm's network would not be told the noise level as it has learnt it"
        )
    return shape, {ours: theirs[name].float() for ours, name in names.items()}


def _misfit(name: str, sizes: Sizes, wanted: Sizes) -> str:
    if name not in wanted:
        return f"{name} is not known"
    return f"{name} is {sizes[name]}, not {wanted[name]}" if name in sizes else f"{name} is missing"


def _shape(where: str, sizes: Sizes) -> Shape:
    """Return the shape of the U-Net that has tensors of these sizes, if one has."""
    other = next((w for part, w in OTHERS.items() if any(part in name for name in sizes)), None)
    try:
        if not other:
            return _first_layers(sizes)
    except (LookupError, ArithmeticError, ValueError, OptionError):
        other = f"a network that is not known, of {shorten(sizes)}"
    raise LtdmError(
        f"{where} is {other}; ltdm reads the U-Net of pytorch-ddpm, CBDM, IGD and OC_LT"
    )


def _first_layers(sizes: Sizes) -> Shape:
    """Return the shape of a U-Net from its first layers; it fails where there are none."""
    levels, ch = sizes[TABLE]
    blocks: list[list[str]] = [[]]
    for n in range(len(sizes)):
        if f"downblocks.{n}.main.weight" in sizes:
            blocks.append([])
        elif f"downblocks.{n}.block1.0.weight" in sizes:
            blocks[-1].append(f"downblocks.{n}")
    options = unet.Options(
        ch=ch,
        ch_mult=tuple(sizes[f"{level[0]}.block2.0.weight"][0] // ch for level in blocks),
        attn=tuple(i for i, level in enumerate(blocks) if f"{level[0]}.attn.proj.weight" in sizes),
        num_res_blocks=len(blocks[0]),
    )
    classes = sizes.get("label_embedding.weight", (0,))[0]
    told = sizes.get("augm_embedding.weight", (0, 0))[1]
    return Shape(options, sizes["head.weight"][1], classes, told, levels)


def _waves(shape: Shape) -> Tensor:
    """Return the time table, float64 (T, ch): sin(t f_0), cos(t f_0), sin(t f_1), ..."""
    ch = shape.options.ch
    frequency = torch.exp(-math.log(10_000) * torch.arange(0, ch, 2, dtype=torch.float64) / ch)
    angle = torch.arange(shape.levels, dtype=torch.float64)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


def _their_name(name: str) -> str:
    """Return what files call a tensor of ours."""
    for ours, theirs in RENAMED.items():
        name = name.replace(ours, theirs)
    return name
