"""Balanced reference -> one feature extractor, shared by every run on the data set."""

from pathlib import Path
from typing import Any

from ltdm.core.device import pick
from ltdm.core.weights import write_weights
from ltdm.plumbing.files import read_npz, write_json
from ltdm.plumbing.registry import part, stage_code


def run(
    spec: dict[str, Any], places: dict[str, Any], *, reference: Path, weights: Path, record: Path
) -> None:
    """Make the extractor ready.

    Args:
        spec: The extractor's name and options.
        places: Options of it that say where something lies.
        reference: The balanced reference (.npz), for extractors that are fitted on it.
        weights: Where the weights go (safetensors).
        record: Where goes what is known about them (JSON).

    Raises:
        LtdmError: A file is damaged, or the extractor cannot get its weights.
    """
    extractor = part("extractor", {**spec, **places}, ("features",))
    images, labels = read_npz(reference, "images", "labels")
    tensors, about = extractor.module.fit(extractor.options, images, labels, pick())
    code = stage_code("extractor", extractor)
    known = {**about, "extractor": extractor.plain(), "code": code}
    write_weights(weights, tensors, known)
    write_json(record, known)
