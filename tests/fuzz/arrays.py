"""Arrays of images, as a data source (`source: npz`) and as an image set of `ltdm score`."""

import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ltdm.config.artefacts import outputs
from ltdm.config.experiment import Experiment
from ltdm.config.layout import RULES
from ltdm.config.requests import request
from ltdm.stages import prepare
from tests.fuzz._mutations import Rng, chance, ltdm, mutate_bytes, pick
from tests.helpers.smoke_config import edited

CUT = 80
NAMES = ("x_train", "y_train", "x_test", "y_test", "images", "labels", "arr_0", "arr_1")
SHAPES = ((12, 4, 4), (12, 4, 4, 1), (12, 4, 4, 3), (12, 3, 4, 4), (12, 1, 4, 4))
ODD_SHAPES = ((), (0,), (12,), (0, 4, 4), (12, 0, 0, 3), (12, 4, 5), (3, 3, 3, 3), (12, 1, 1, 1))
ODD_SHAPES += ((1, 4, 4, 3), (12, 4, 4, 2), (12, 1, 4, 4, 3), (12, 4, 4, 3, 0))
DTYPES = ("u1", "i1", "u2", ">u2", "i4", ">i8", "u8", "f2", "f4", ">f8", "g", "c8", "?", "O")
DTYPES += ("U3", "S3", "M8[s]", "m8[D]", "V4", [("r", "u1"), ("g", "u1")])
HEADERS = (b"(9999999999, 4, 4)", b"(-1, 4, 4)", b"(12, 4, 4", b"(99999999999999999999999,)")
HEADERS += (b"(12, 4, 'x')", b"None", b"(12.0, 4, 4)", b"(True, 4, 4)")


def attempt(rng: Rng, folder: Path) -> str:
    """Prepare or score one archive of odd arrays."""
    file, done = folder / "a.npz", []
    arrays = {name: array(rng, name, done) for name in NAMES if chance(rng, 0.9)}
    if chance(rng, 0.3):
        done.append(write_odd_archive(rng, file, arrays))
    else:
        write_archive(file, arrays)
    if chance(rng, 0.15):
        file.write_bytes(mutate_bytes(rng, file.read_bytes()))
        done.append("bytes")
    if chance(rng, 0.5):
        prepare_source(rng, folder, file)
    else:
        score(rng, folder, file, arrays)
    return "; ".join(done)


def array(rng: Rng, name: str, done: list[str]) -> np.ndarray:
    """Return images or labels; one time in five odd ones."""
    odd = chance(rng, 0.08)
    if name in ("y_train", "y_test", "labels", "arr_1"):
        values = odd_labels(rng) if odd else np.arange(12) % 3
    else:
        shape = pick(rng, ODD_SHAPES) if odd else pick(rng, SHAPES[2:3])
        shape = pick(rng, SHAPES) if chance(rng, 0.02) else shape
        values = rng.integers(0, 256, shape).astype("u1")
    if chance(rng, 0.08):
        values = with_dtype(rng, values, pick(rng, DTYPES))
        odd = True
    if chance(rng, 0.05):
        values, odd = np.asfortranarray(values), True
    if odd:
        done.append(f"{name}: {values.dtype} {values.shape}")
    return values


def odd_labels(rng: Rng) -> np.ndarray:
    """Return labels that are not 0, 1 and 2 for each of 12 images."""
    labels: list[Any] = [
        np.arange(12) % 3 + 1,
        np.arange(12) * 2,
        np.arange(11) % 3,
        np.arange(12) % 3 - 1,
        np.full(12, 2**62),
        np.full(12, -1),
        np.zeros(12, int),
        np.eye(12),
        np.arange(12.0) % 3,
        np.arange(12)[:, None] % 3,
        np.array(3),
        np.full(12, 2**64 - 1, "u8"),
        np.full(12, np.nan),
        np.arange(12).astype("U2"),
        [10**6, *[0] * 11],
        np.arange(12) % 3 == 0,
    ]
    return np.asarray(pick(rng, labels))


def with_dtype(rng: Rng, values: np.ndarray, dtype: Any) -> np.ndarray:
    """Return values of another type, some of them not finite or out of range."""
    if np.dtype(dtype).kind in "VMm":
        return np.zeros(values.shape, dtype)
    values = values.astype(dtype)
    if values.dtype.kind == "f" and values.size and chance(rng, 0.8):
        values = values / np.asarray(255, values.dtype)
        if chance(rng, 0.5):
            values.reshape(-1)[0] = pick(rng, (np.nan, np.inf, -np.inf, 2, -1, 1.0001))
    return values


def write_archive(file: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz; arrays of objects are pickled."""
    np.savez(file, allow_pickle=True, **arrays)


def write_odd_archive(rng: Rng, file: Path, arrays: dict[str, np.ndarray]) -> str:
    """Write an archive that `np.savez` would not; return what is odd about it."""
    members = {f"{name}.npy": npy_bytes(values) for name, values in arrays.items()}
    victim = pick(rng, list(members) or ["x_train.npy"])
    content = members.get(victim, b"")
    odd = pick(rng, ("npy", "header", "version", "twice", "path", "flag", "bomb", "text", "method"))
    if odd == "npy":
        file.write_bytes(content)
        return f"{victim} alone"
    if odd == "header" and b"shape" in content:
        start, end = content.index(b"'shape': ") + 9, content.index(b"}")
        members[victim] = content[:start] + pick(rng, HEADERS).ljust(end - start) + content[end:]
    elif odd == "version":
        members[victim] = content[:6] + bytes([pick(rng, (0, 2, 3, 9)), 0]) + content[8:]
    elif odd == "text":
        members[victim] = pick(rng, (b"", b"\x93NUMPY", b"not an array", b"\x80\x04N.", b"PK\3\4"))
    elif odd == "path":
        members |= {"../x_train.npy": content, "/labels.npy": content, "x_train.npy/": b""}
    elif odd == "bomb":
        members[victim] = npy_bytes(np.zeros((300_000, 32, 32), "u1"))
    compression = zipfile.ZIP_DEFLATED if odd == "bomb" else zipfile.ZIP_STORED
    if odd == "method":
        compression = pick(rng, (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
        if odd == "twice":
            with warnings.catch_warnings(action="ignore"):
                archive.writestr(victim, pick(rng, list(members.values()) or [b""]))
    if odd == "flag":  # marks the members as encrypted, or of an unknown method
        data = file.read_bytes()
        place = pick(rng, (8, 10))
        for at in (i for i in range(len(data)) if data[i : i + 4] == b"PK\1\2"):
            data = data[: at + place] + pick(rng, (b"\1", b"\x63")) + data[at + place + 1 :]
        file.write_bytes(data)
    return f"{odd} {victim}"


def npy_bytes(values: np.ndarray) -> bytes:
    """Return the bytes of an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=True)
    return buffer.getvalue()


def prepare_source(rng: Rng, folder: Path, file: Path) -> None:
    """Check a config with the archive as its data, and prepare them."""
    split = pick(rng, ("train", "test"))
    source = {"source": "npz", "path": str(file), "reference_split": split}
    config = edited("datasets/digits-lt", source | {"imbalance": 0.5})
    config["defaults"]["sample"]["num_images"] = 9 * 8 * 7 * 5
    config["defaults"]["train"]["batch_size"] = 1
    config["evaluate"] |= {"metrics": ["frechet"], "table_columns": ["frechet"]}
    experiment = Experiment(config, folder)
    (keys,) = RULES["prepare"].jobs(experiment.plan)
    files = outputs(experiment.plan, "prepare", keys)
    prepare.run(request(experiment, "prepare", keys), **files)


def score(rng: Rng, folder: Path, file: Path, arrays: dict[str, np.ndarray]) -> None:
    """Score the archive against itself or good images, by `ltdm score`."""
    good, labels = folder / "good.npz", folder / "labels.npy"
    np.savez(
        good, images=rng.integers(0, 256, (12, 4, 4, 3)).astype("u1"), labels=np.arange(12) % 3
    )
    images, reference = (file, good) if chance(rng, 0.7) else (good, file)
    options: list[Any] = []
    if chance(rng, 0.3):
        labels.write_bytes(npy_bytes(arrays.get("labels", odd_labels(rng))))
        options = [pick(rng, ("--labels", "--reference-labels")), labels]
    options += ["--reference", reference, "--extractor", "pixels", "--metric", "frechet"]
    ltdm("score", images, *options, "--cache-dir", folder / "cache")
