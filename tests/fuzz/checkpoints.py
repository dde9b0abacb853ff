"""Released checkpoints with changed tensors, keys, forms and bytes, given to `ltdm import`."""

import collections
import copy
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltdm.core.device import pick_device
from ltdm.core.weights import read_weights
from ltdm.diffusion._model import Model
from ltdm.networks import unet
from tests.fuzz._mutations import ODD_KEYS, ODD_VALUES, Rng, chance, ltdm, pick, spoil_bytes
from tests.fuzz._spoil import mutate_tensors
from tests.helpers.released import network, released_state_dict, training_state

CUT = 40
OPTIONS = unet.Options(ch=32, ch_mult=(1,), num_res_blocks=1, attn=())
PREFIXES = ("module.", "_orig_mod.", "model.", "ema.", "net_model.", "")
SETS = ("net_model", "ema_model", "state_dict", "model", "ema", "optim", "step", "global_model")


class Code:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch executed",)


@cache
def good() -> dict[str, Any]:
    """Return a checkpoint that ltdm reads."""
    raw, ema = (network(seed, classes=3, options=OPTIONS) for seed in (1, 2))
    sets = {"net_model": released_state_dict(raw, 20), "ema_model": released_state_dict(ema, 20)}
    return {**sets, **training_state(raw)}


def attempt(rng: Rng, folder: Path) -> str:
    """Import one odd checkpoint, and build its network."""
    content, file = copy.deepcopy(good()), folder / "ckpt.pt"
    changes = [pick(rng, CHANGES)] if chance(rng, 0.9) else []
    done = [f"{change.__name__}: {change(rng, content)}" for change in changes]
    alone = pick(rng, ("net_model", "ema_model")) if chance(rng, 0.2) else ""
    value = content.get(alone, content)
    if chance(rng, 0.05):
        value = pick(rng, (3, [], {}, None, torch.zeros(3), [value], (value, 1), "text", np.eye(2)))
        done.append(f"a {type(value).__name__}")
    try:
        torch.save(value, file, _use_new_zipfile_serialization=chance(rng, 0.7))
    except (RuntimeError, NotImplementedError, TypeError):  # PyTorch does not write such a tensor
        return "not written"
    if chance(rng, 0.1):
        spoil_bytes(rng, file)
        done.append("bytes")
    model = folder / pick(rng, ("model.safetensors", "new/model.safetensors"))
    ltdm("import", file, model, "--resolution", pick(rng, (8, 8, 8, 7, 1, 1024)))
    weights = "last" if read_weights(model, "last.")[0] else "ema"
    Model.from_file(model, weights, "fp32", pick_device())
    assert not (folder / "executed").exists()
    return "; ".join(done)


def one_tensor(rng: Rng, content: dict[str, Any]) -> str:
    """Change, remove or rename a tensor."""
    return mutate_tensors(rng, content[pick(rng, ("net_model", "ema_model"))])


def every_tensor(rng: Rng, content: dict[str, Any]) -> str:
    """Store all tensors of one or both sets in another form."""
    name = pick(rng, list(FORMS))
    for key in ("net_model", "ema_model")[int(rng.integers(2)) :]:
        content[key] = {k: FORMS[name](t) for k, t in content[key].items()}
    return name


def some_tensors(rng: Rng, content: dict[str, Any]) -> str:
    """Store a few tensors in another form."""
    name = pick(rng, list(FORMS))
    state = content[pick(rng, ("net_model", "ema_model"))]
    for key in rng.permutation(list(state))[:3]:
        state[key] = FORMS[name](state[key])
    return name


def prefix(rng: Rng, content: dict[str, Any]) -> str:
    """Put a prefix before all names of one or both sets, or before some."""
    text = pick(rng, PREFIXES) + pick(rng, PREFIXES)
    share = pick(rng, (1.0, 1.0, 0.5))
    for key in ("net_model", "ema_model")[int(rng.integers(2)) :]:
        content[key] = {
            text * chance(rng, share) + name: tensor for name, tensor in content[key].items()
        }
    return text


def shared(rng: Rng, content: dict[str, Any]) -> str:
    """Let both sets share their tensors, or two tensors of a set their storage."""
    if chance(rng, 0.5):
        content["ema_model"] = content["net_model"]
        return "both sets"
    state = content["net_model"]
    flat = torch.cat([t.flatten().float() for t in state.values()])
    parts = flat.split([t.numel() for t in state.values()])
    state |= {k: p.view(t.shape) for (k, t), p in zip(state.items(), parts, strict=True)}
    return "one storage"


def keys(rng: Rng, content: dict[str, Any]) -> str:
    """Rename, remove or add an entry of the file."""
    old, new = pick(rng, list(content)), pick(rng, (*SETS, *ODD_KEYS))
    value = content.pop(old)
    if chance(rng, 0.5):
        content[new] = pick(rng, (value, pick(rng, ODD_VALUES)))
    return f"{old} to {new!r}"


def objects(rng: Rng, content: dict[str, Any]) -> str:
    """Add an object that is no tensor or plain value, somewhere."""
    value = pick(rng, (Code(), np.zeros(3), Path("x"), OPTIONS, {1, 2}, slice(3), torch.Size([1])))
    place = pick(rng, (content, content["net_model"]))
    place[pick(rng, ("args", "head.weight", "ema_model"))] = value
    return type(value).__name__


def container(rng: Rng, content: dict[str, Any]) -> str:
    """Store the sets in another kind of mapping, or in a list."""
    make = pick(rng, (collections.OrderedDict, lambda d: list(d.items()), lambda d: {"model": d}))
    for key in ("net_model", "ema_model"):
        content[key] = make(content[key])
    return "container"


def parameter(tensor: Tensor) -> Tensor:
    """Return a tensor as a parameter, which only floating-point ones can be."""
    return torch.nn.Parameter(tensor) if tensor.is_floating_point() else tensor


FORMS = {
    "half": lambda t: t.half(),
    "bfloat16": lambda t: t.bfloat16(),
    "double": lambda t: t.double(),
    "int": lambda t: t.int(),
    "complex": lambda t: t.to(torch.complex64),
    "float8": lambda t: t.to(torch.float8_e4m3fn),
    "sparse": lambda t: t.to_sparse(),
    "quantised": lambda t: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8),
    "parameter": parameter,
    "transposed": lambda t: t.T.contiguous().T if t.ndim == 2 else t,
    "channels last": lambda t: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t,
    "expanded": lambda t: t.flatten()[:1].expand(t.shape) if t.numel() else t,
    "meta": lambda t: t.to("meta"),
    "nan": lambda t: torch.full_like(t, float("nan")),
    "scalar": lambda t: t.sum(),
    "numpy": lambda t: t.numpy(),
    "list": lambda t: t.tolist(),
    "none": lambda t: None,
}
CHANGES = (one_tensor, every_tensor, some_tensors, prefix, shared, keys, objects, container)
