"""Balanced reference -> one feature extractor, shared by every run on the data set."""

from pathlib import Path
from typing import Any

from ltdm.device import pick
from ltdm.files import read_npz
from ltdm.registry import part
from ltdm.weights import write_weights


def run(spec: dict[str, Any], *, reference: Path, weights: Path) -> None:
    """Fit the extractor and write its weights (safetensors) with what is known about them."""
    extractor = part("extractor", spec, ("features",))
    images, labels = read_npz(reference, "images", "labels")
    tensors, about = extractor.module.fit(extractor.options, images, labels, pick())
    write_weights(weights, tensors, {**about, "extractor": extractor.plain()})
