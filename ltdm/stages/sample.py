"""Trained network -> a set of generated images, made by one job or by several in parallel."""

import json
from pathlib import Path

import numpy as np

from ltdm.core.device import pick_device
from ltdm.core.shards import merge_shards, remove_shards, write_shard
from ltdm.core.weights import read_key, read_metadata
from ltdm.diffusion._model import Model
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors, read_npz, write_json, write_npz
from ltdm.plumbing.options import parse
from ltdm.plumbing.request import Request, to_record
from ltdm.samplers._generate import SampleGenerator
from ltdm.samplers._options import SampleOptions


def run(
    request: Request,
    *,
    model: Path,
    guide: Path | None,
    samples: Path,
    record: Path,
    shards: list[Path] | None = None,
) -> None:
    """Write `samples` (.npz: images, labels, about), with the same number of images per class.

    `request` has `spec`, the options of the sample set, and `seed`, which determines the noise of
    each image together with its number; with the option `guidance_power` also `class_counts`, the
    training images per class. `guide` is the network of the run in the option `guide_run`. If
    `shards` are given, all files of `run_shard`, they are merged without a network.

    `about` has sampler, guidance, weights and model. `record` repeats it, to be read without the
    images, and adds `where` the images were made: device, precision and layout.

    Raises:
        LtdmError: The number of images does not suit the classes, the model is bad, or the shards
            belong to another set or are incomplete.
    """
    sample_set = SampleRequest(request, model, guide)
    number = len(sample_set.labels)
    if shards:
        images = merge_shards(shards, sample_set.metadata, number, ["images"])["images"]
        parts = [read_npz(file, "rows", "where") for file in shards]
        hardware = [*dict.fromkeys(str(where) for rows, where in parts if len(rows))]
    else:
        generator = sample_set.generator()
        images = generator.generate(sample_set.labels, np.arange(number))
        hardware = [generator.hardware]
    write_json(record, {**to_record(request), **sample_set.metadata, "where": hardware})
    about = np.array(json.dumps(sample_set.metadata))
    write_npz(samples, images=images, labels=sample_set.labels, about=about)
    remove_shards(samples)


def run_shard(request: Request, *, model: Path, guide: Path | None, images: Path) -> None:
    """Write one shard of a sample set to `images`: its images, their numbers and where it ran.

    `request` is that of `run`, with `shard`: its index, from 0, and the number of shards.
    """
    sample_set = SampleRequest(request, model, guide)
    generator = sample_set.generator()
    rows = generator.rows_of_shard(sample_set.labels, request["shard"])
    arrays = {
        "images": generator.generate(sample_set.labels[rows], rows),
        "where": np.array(generator.hardware),
    }
    write_shard(images, sample_set.metadata, rows, arrays)


class SampleRequest:
    """A sample set to be generated.

    Attributes:
        labels: The label of each image, int64 (N,): 0 .. C - 1 in turn, or -1 without labels.
        metadata: The origin of the images, for `samples` and `record`. It does not depend on the
            machine.

    Raises:
        LtdmError: The number of images is no multiple of the classes, or the model holds weights of
            another EMA width than the options.
    """

    def __init__(self, request: Request, model: Path, guide: Path | None):
        self.options = parse(SampleOptions, request["spec"], ("sample",))
        self.seed, self.model, self.guide = request["seed"], model, guide
        self.class_counts = request.get("class_counts", [])
        network, options = read_metadata(model), self.options
        with explain_read_errors(model, "network of ltdm"):
            classes = range(network["classes"])
            has_labels = network["label"] != "nothing" and options.label == "class"
            sigma_rel = network.get("average", {}).get("sigma_rel")
            key = network["key"]
        if has_labels and options.num_images % len(classes):
            raise LtdmError(
                f"sample.num_images is {options.num_images}, but must be a multiple of the"
                f" {len(classes)} classes, so that each has the same number"
            )
        if sigma_rel != options.ema_sigma_rel:
            raise LtdmError(
                f"{model} has the weights of sigma_rel {sigma_rel or 'unset'}, but"
                f" sample.ema_sigma_rel is {options.ema_sigma_rel or 'unset'}; choose the other"
                " file, or write it with `ltdm ema`"
            )
        numbers = np.arange(options.num_images)
        self.labels = numbers % len(classes) if has_labels else np.full_like(numbers, -1)
        self.metadata = {
            "sampler": options.sampler_label,
            "guidance": options.guidance,
            "weights": options.weights_label,
            **{key: request[key] for key in ("spec", "seed", "code")},
            "model": key,
        }
        if guide:
            self.metadata["guide"] = read_key(guide)

    def generator(self) -> SampleGenerator:
        """Load the network and its guide; return the generator of the images."""
        precision, device = self.options.precision, pick_device()
        plain = self.options.plain
        model = Model.from_file(self.model, self.options.weights, precision, device, plain)
        guide = Model.from_file(self.guide, "ema", precision, device) if self.guide else None
        return SampleGenerator(model, self.options, self.seed, guide, self.class_counts)
