"""Images, real or generated -> features, extracted by one job or by several side by side."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ltdm.device import pick
from ltdm.errors import LtdmError
from ltdm.features._base import Extracted
from ltdm.files import read_npz, sha256, write_npz
from ltdm.registry import Part, part, stage_code
from ltdm.sharded import blocks, clear, share, whole, write_part
from ltdm.weights import read_about, read_weights


def run(*, images: Path, weights: Path, features: Path) -> None:
    """Write `features` of the images in an .npz.

    It is an .npz of features, float32 (N, d), labels and about, which also names the extractor and
    the digest of its weights; of probabilities too, float32 (N, K), where the extractor gives some.

    Raises:
        LtdmError: A file is damaged, the images are not the extractor's kind, or what it gives is
            not finite.
    """
    (pixels,) = read_npz(images, "images")
    _write(features, images, weights, _extracted(pixels, images, weights))


def shard(which: tuple[int, int], *, images: Path, weights: Path, output: Path) -> None:
    """Extract the features of some of the images, as a job of its own; see `run`.

    Args:
        which: The shard's number, from 0, and how many there are.
        images: All images.
        weights: The extractor's.
        output: Where the features go, with the images' numbers.
    """
    (pixels,) = read_npz(images, "images")
    cut = blocks(np.arange(len(pixels)), _extractor(read_about(weights)).module.BLOCK)
    rows = share(cut, which)
    arrays = _extracted(pixels[rows], images, weights) if len(rows) else {}
    write_part(output, _origin(images, weights), rows, arrays)


def gather(shards: Sequence[Path], *, images: Path, weights: Path, features: Path) -> None:
    """Write from its shards what `run` writes; no network is asked.

    Raises:
        LtdmError: The shards are damaged, not of these images and weights, or not all there is.
    """
    (labels,) = read_npz(images, "labels")
    arrays = whole(shards, _origin(images, weights), len(labels), Extracted._fields)
    _write(features, images, weights, arrays)


def _extractor(known: dict[str, Any]) -> Part:
    return part("extractor", known["extractor"], ("extractor",))


def _extracted(pixels: np.ndarray, images: Path, weights: Path) -> dict[str, np.ndarray]:
    """Return what the extractor makes of some of the images."""
    tensors, known = read_weights(weights)
    extractor = _extractor(known)
    extract = extractor.module.build(extractor.options, tensors, known, pick())
    try:
        made = extract(pixels)
    except LtdmError as error:
        raise LtdmError(f"{images}: {error}") from error
    arrays = {k: v for k, v in made._asdict().items() if v is not None}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise LtdmError(f"{weights} gives values that are not finite; delete it and run again")
    return arrays


def _about(images: Path, weights: Path) -> dict[str, Any]:
    """Return what the features are about: what the images are, and the extractor."""
    (about,) = read_npz(images, "about")
    by = {**read_about(weights)["extractor"], "weights": sha256(weights)}
    return {**json.loads(str(about)), "extractor": by}


def _origin(images: Path, weights: Path) -> dict[str, Any]:
    """Return what a part depends on."""
    code = stage_code("features", _extractor(read_about(weights)))
    return {"about": _about(images, weights), "code": code}


def _write(features: Path, images: Path, weights: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write the features, and clear away what only unfinished ones need."""
    (labels,) = read_npz(images, "labels")
    about = np.array(json.dumps(_about(images, weights)))
    write_npz(features, **arrays, labels=labels, about=about)
    clear(features)
