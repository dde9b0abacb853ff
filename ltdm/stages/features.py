"""Real or generated images -> features."""

import json
from pathlib import Path

import numpy as np

from ltdm.core.image_files import read_image_file
from ltdm.core.weights import read_weights
from ltdm.features._base import device_of
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors, sha256, write_npz
from ltdm.plumbing.registry import parse_part
from ltdm.plumbing.request import Request


def run(request: Request, *, images: Path, weights: Path, features: Path) -> None:
    """Write the `features` of the images; the file `weights` names the extractor and its options.

    The .npz holds features, float32 (N, d); probabilities, float32 (N, K), if the extractor has
    classes; the labels of the images; and their `about`, with the extractor, the digest of its
    weights, and the SHA-256 of the file that they came from, if they came from one.

    Raises:
        LtdmError: The extractor does not support the images, or its output is not finite.
    """
    pixels, labels, about, _ = read_image_file(images)
    tensors, metadata = read_weights(weights)
    with explain_read_errors(weights, "extractor of ltdm"):
        extractor = parse_part("extractor", metadata["extractor"], ("extractor",))
        device = device_of(extractor.module)
        extract = extractor.module.load(extractor.options, tensors, metadata, device)
    try:
        output = extract(pixels)
    except LtdmError as error:
        raise LtdmError(f"{images}: {error}") from error
    arrays = {name: array for name, array in output._asdict().items() if array is not None}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise LtdmError(f"{weights} gives values that are not finite; delete it and run again")
    origin = {**metadata["extractor"], "weights": sha256(weights)}
    origins = {**about, "extractor": origin, "weight_file": metadata.get("sha256")}
    write_npz(features, **arrays, labels=labels, about=np.array(json.dumps(origins)))
