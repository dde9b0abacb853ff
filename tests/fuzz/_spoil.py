"""Random changes of result files, by their format."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.fuzz._mutations import Rng, chance, mutate_bytes, mutate_values, pick

CELLS = ("", "nan", "inf", "-1", "1e999", "x", "0", "3.7", "99999999999999999999", '"', "a,b", "é")
ARRAY_DTYPES = ("u1", "i8", "f4", "f8", "?", "U3", "O")
TENSOR_DTYPES = (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool)


def spoil(rng: Rng, file: Path, others: list[Path]) -> str:
    """Spoil a file; return how. `others` are files that may take its place."""
    change = pick(rng, ("format", "format", "format", "bytes", "empty", "gone", "folder", "other"))
    format_change = FORMATS.get(file.suffix)
    if change == "format" and format_change:
        return format_change(rng, file)
    if change == "other":
        source = pick(rng, [f for f in others if f.suffix == file.suffix])
        file.write_bytes(source.read_bytes())
        return f"now {source.name}"
    if change in ("gone", "folder"):
        file.unlink()
        if change == "folder":
            file.mkdir()
        return change
    file.write_bytes(b"" if change == "empty" else mutate_bytes(rng, file.read_bytes()))
    return change


def spoil_json(rng: Rng, file: Path) -> str:
    """Change a value of a JSON file."""
    if chance(rng, 0.1):
        file.write_text(pick(rng, ("null", "[]", "{}", "3", "NaN", '"x"', "{", "\ufeff{}")))
        return "other JSON"
    value = json.loads(file.read_text())
    done = mutate_values(rng, value)
    file.write_text(json.dumps(value, default=str, skipkeys=True))
    return done


def spoil_csv(rng: Rng, file: Path) -> str:
    """Change a cell, a row or a column of a table."""
    with file.open(newline="") as stream:
        rows = list(csv.reader(stream))
    row = int(rng.integers(len(rows)))
    column = int(rng.integers(len(rows[0])))
    change = pick(rng, ("cell", "cell", "row", "column", "swap", "head", "twice", "ragged"))
    if change == "cell" and column < len(rows[row]):
        rows[row][column] = pick(rng, CELLS)
    elif change == "row":
        del rows[row]
    elif change == "column":
        rows = [cells[:column] + cells[column + 1 :] for cells in rows]
    elif change == "swap":
        rows[0][column], rows[0][0] = rows[0][0], rows[0][column]
    elif change == "head":
        rows = rows[:1]
    elif change == "twice":
        rows.append(rows[row])
    else:
        rows[row].append("more")
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return f"{change} {row}, {column}"


def spoil_npz(rng: Rng, file: Path) -> str:
    """Change an array of an archive: its name, shape, type or values."""
    with np.load(file) as archive:
        arrays = dict(archive)
    name = pick(rng, list(arrays))
    values = arrays.pop(name)
    change = pick(rng, ("gone", "name", "type", "shorter", "flat", "value", "empty", "scalar"))
    if change == "name":
        arrays[f"{name}s"] = values
    elif change == "type":
        values = values if values.dtype.kind != "U" else np.zeros(())
        arrays[name] = values.astype(pick(rng, ARRAY_DTYPES))
    elif change == "value" and values.dtype.kind == "U":  # metadata in JSON
        metadata = json.loads(str(values)) if str(values)[:1] == "{" else {}
        change = mutate_values(rng, metadata)
        arrays[name] = np.array(json.dumps(metadata, default=str, skipkeys=True))
    elif change == "value" and values.size:
        values = values.copy()
        odd = (np.nan, np.inf) if values.dtype.kind == "f" else (0, 1, 200)
        values.reshape(-1)[int(rng.integers(values.size))] = pick(rng, odd)
        arrays[name] = values
    elif change != "gone":
        shapes = {"flat": values.reshape(-1), "scalar": np.array(0), "empty": values[..., None][:0]}
        arrays[name] = shapes.get(change, values[:-1] if values.ndim else values)
    np.savez(file, allow_pickle=True, **arrays)
    return f"{change} {name}"


def spoil_weights(rng: Rng, file: Path) -> str:
    """Change a tensor or the metadata of a safetensors file."""
    content = file.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = header["__metadata__"]
    tensors = load_file(file)
    if chance(rng, 0.5):
        values = json.loads(metadata["ltdm"])
        done = mutate_values(rng, values)
        metadata["ltdm"] = json.dumps(values, default=str, skipkeys=True)
    else:
        done = mutate_tensors(rng, tensors)
    save_file({k: t.contiguous().clone() for k, t in tensors.items()}, file, metadata)
    return done


def spoil_state(rng: Rng, file: Path) -> str:
    """Change a value or tensor of a file of `torch.save`."""
    content: dict[str, Any] = torch.load(file, weights_only=True)
    done = mutate_values(rng, content)
    torch.save(content, file, _use_new_zipfile_serialization=chance(rng, 0.8))
    return done


def mutate_tensors(rng: Rng, tensors: dict[Any, Any]) -> str:
    """Change, remove or rename a tensor of a state dict."""
    if not tensors:
        return "nothing"
    name = pick(rng, list(tensors))
    tensor = tensors.pop(name)
    change = pick(rng, ("gone", "name", "type", "shape", "value", "scalar", "larger", "odd"))
    if change == "odd" or not isinstance(tensor, Tensor):
        tensors[name] = torch.zeros(0)
    elif change == "name":
        tensors[f"{name}s"] = tensor
    elif change == "type":
        tensors[name] = tensor.to(pick(rng, TENSOR_DTYPES))
    elif change == "shape":
        tensors[name] = tensor[:-1] if tensor.ndim else tensor[None]
    elif change == "value":
        tensors[name] = torch.full_like(tensor, pick(rng, (0, 1)) or float("nan"))
    elif change == "scalar":
        tensors[name] = torch.tensor(1.0)
    elif change == "larger":
        tensors[name] = torch.cat([tensor, tensor]) if tensor.ndim else tensor
    return f"{change} {name}"


FORMATS = {
    ".json": spoil_json,
    ".csv": spoil_csv,
    ".npz": spoil_npz,
    ".safetensors": spoil_weights,
    ".pt": spoil_state,
}
