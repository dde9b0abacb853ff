"""Images, real or generated -> features."""

from pathlib import Path

import numpy as np

from ltdm.device import pick
from ltdm.errors import LtdmError
from ltdm.files import read_npz, write_npz
from ltdm.registry import part
from ltdm.weights import read_weights


def run(*, images: Path, weights: Path, features: Path) -> None:
    """Write `features` (.npz: features float32 (N, d), labels, about) of the images in an .npz.

    Raises:
        LtdmError: A file is damaged, or the extractor gives values that are not finite.
    """
    pixels, labels, about = read_npz(images, "images", "labels", "about")
    tensors, known = read_weights(weights)
    extractor = part("extractor", known["extractor"], ("extractor",))
    extract = extractor.module.build(extractor.options, tensors, known, pick())
    made = extract(pixels)
    if not np.isfinite(made).all():
        raise LtdmError(f"{weights} gives features that are not finite; delete it and run again")
    write_npz(features, features=made, labels=labels, about=about)
