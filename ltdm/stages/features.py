"""Images, real or generated -> features."""

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
    """Write `features` of the images by the extractor whose `weights` also hold its options.

    It is an .npz of features, float32 (N, d), labels and about, which also names the extractor and
    the digest of its weights; of probabilities too, float32 (N, K), where the extractor gives some.

    Raises:
        LtdmError: The images are not the extractor's kind, or what it gives is not finite.
    """
    pixels, labels, about = read_npz(images, "images", "labels", "about")
    tensors, known = read_weights(weights)
    extractor = parse_part("extractor", known["extractor"], ("extractor",))
    extract = extractor.module.build(extractor.options, tensors, known, pick_device())
    try:
        made = extract(pixels)
    except LtdmError as error:
        raise LtdmError(f"{images}: {error}") from error
    arrays = {k: v for k, v in made._asdict().items() if v is not None}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise LtdmError(f"{weights} gives values that are not finite; delete it and run again")
    by = {**known["extractor"], "weights": sha256(weights)}
    about = np.array(json.dumps({**json.loads(str(about)), "extractor": by}))
    write_npz(features, **arrays, labels=labels, about=about)
