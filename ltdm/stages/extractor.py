"""Balanced reference -> the weights of a feature extractor, shared by all runs on the data set."""

from pathlib import Path

from ltdm.core.image_files import read_image_file
from ltdm.core.weights import write_weights
from ltdm.features._base import device_of
from ltdm.plumbing.files import write_json
from ltdm.plumbing.registry import parse_part
from ltdm.plumbing.request import Request, to_record


def run(request: Request, *, reference: Path, weights: Path, record: Path) -> None:
    """Write the extractor's `weights` (safetensors); some extractors are trained on the reference.

    `request` has `extractor`, its name and options, and `places`, its options that are locations.
    `record` repeats the metadata of the weights.

    Raises:
        LtdmError: The weights are not available.
    """
    extractor = parse_part(
        "extractor", {**request["extractor"], **request["places"]}, ("extractors",)
    )
    images, labels, *_ = read_image_file(reference)
    device = device_of(extractor.module)
    tensors, metadata = extractor.module.prepare(extractor.options, images, labels, device)
    metadata = {**metadata, "extractor": request["extractor"], "code": request["code"]}
    write_weights(weights, tensors, metadata)
    write_json(record, {**metadata, **to_record(request)})
