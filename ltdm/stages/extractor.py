"""Balanced reference -> one feature extractor, shared by every run on the data set."""

from pathlib import Path

from ltdm.core.device import pick_device
from ltdm.core.weights import write_weights
from ltdm.plumbing.files import read_npz, write_json
from ltdm.plumbing.registry import parse_part
from ltdm.plumbing.request import Request, to_record


def run(request: Request, *, reference: Path, weights: Path, record: Path) -> None:
    """Write the extractor's `weights` (safetensors); some are fitted on the reference.

    `request` has `extractor`, its name and options, and `places`, its options that say where
    something lies. `record` also has what is known about the weights.

    Raises:
        LtdmError: The extractor cannot get its weights.
    """
    extractor = parse_part(
        "extractor", {**request["extractor"], **request["places"]}, ("extractors",)
    )
    images, labels = read_npz(reference, "images", "labels")
    tensors, about = extractor.module.fit(extractor.options, images, labels, pick_device())
    known = {**about, "extractor": request["extractor"], "code": request["code"]}
    write_weights(weights, tensors, known)
    write_json(record, {**known, **to_record(request)})
