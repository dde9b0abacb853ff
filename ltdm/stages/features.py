"""Images, real or generated -> features."""

from pathlib import Path

from ltdm.device import pick
from ltdm.files import read_npz, write_npz
from ltdm.registry import part
from ltdm.weights import read_weights


def run(*, images: Path, weights: Path, features: Path) -> None:
    """Write `features` (.npz: features float32 (N, d), labels) of the images in an .npz."""
    pixels, labels = read_npz(images, "images", "labels")
    tensors, about = read_weights(weights)
    extractor = part("extractor", about["extractor"], ("extractor",))
    extract = extractor.module.build(extractor.options, tensors, about, pick())
    write_npz(features, features=extract(pixels), labels=labels)
