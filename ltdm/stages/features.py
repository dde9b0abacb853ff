"""Real or generated images -> features."""

import json
from pathlib import Path

import numpy as np

from ltdm.core.device import pick_device
from ltdm.core.weights import read_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, sha256, write_npz
from ltdm.plumbing.registry import parse_part
from ltdm.plumbing.request import Request


def run(request: Request, *, images: Path, weights: Path, features: Path) -> None:
    """Write the `features` of the images; the file `weights` names the extractor and its options.

    The .npz holds features, float32 (N, d); probabilities, float32 (N, K), if the extractor has
    classes; the labels of the images; and their `about`, with the extractor and the digest of its
    weights.

    Raises:
        LtdmError: The extractor does not support the images, or its output is not finite.
    """
    pixels, labels, about = read_npz(images, "images", "labels", "about")
    tensors, metadata = read_weights(weights)
    extractor = parse_part("extractor", metadata["extractor"], ("extractor",))
    extract = extractor.module.load(extractor.options, tensors, metadata, pick_device())
    try:
        output = extract(pixels)
    except LtdmError as error:
        raise LtdmError(f"{images}: {error}") from error
    arrays = {name: array for name, array in output._asdict().items() if array is not None}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise LtdmError(f"{weights} gives values that are not finite; delete it and run again")
    origin = {**metadata["extractor"], "weights": sha256(weights)}
    about = np.array(json.dumps({**json.loads(str(about)), "extractor": origin}))
    write_npz(features, **arrays, labels=labels, about=about)
