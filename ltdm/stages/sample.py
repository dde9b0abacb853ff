"""Trained network -> a set of generated images, made by one job or by several side by side."""

import json
from pathlib import Path

import numpy as np

from ltdm.core.device import pick_device
from ltdm.core.shards import merge_shards, remove_shards, write_shard
from ltdm.core.weights import read_metadata
from ltdm.diffusion._model import Model
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, write_json, write_npz
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
    """Write `samples` (.npz: images, labels, about), the same number of each class.

    `request` has `spec`, the sample set's options; and `seed`, which owns the images' noise
    together with each image's number. `guide` is the network of the run that the option `guide_run`
    names. Given all `shards`, what `shard` made is put together, and no network is asked.

    `about` says sampler, guidance, weights and model; `record` the same, for a look without the
    images, and where and how they were made: device, precision, layout.

    Raises:
        LtdmError: The number of images does not suit the classes, the model is bad, or the shards
            are not this set's, or not all of it.
    """
    wanted = SampleSet(request, model, guide)
    number = len(wanted.labels)
    if shards:
        images = merge_shards(shards, wanted.about, number, ["images"])["images"]
        told = [read_npz(file, "rows", "where") for file in shards]
        where = [*dict.fromkeys(str(where) for rows, where in told if len(rows))]
    else:
        generator = wanted.generator()
        images = generator.images(wanted.labels, np.arange(number))
        where = [generator.where]
    write_json(record, {**to_record(request), **wanted.about, "where": where})
    about = np.array(json.dumps(wanted.about))
    write_npz(samples, images=images, labels=wanted.labels, about=about)
    remove_shards(samples)


def shard(request: Request, *, model: Path, guide: Path | None, images: Path) -> None:
    """Write some of a set's `images`, with their numbers, as a job of its own; see `run`.

    `request` also has `shard`: its number, from 0, and how many there are.
    """
    wanted = SampleSet(request, model, guide)
    generator = wanted.generator()
    rows = generator.share(wanted.labels, request["shard"])
    made = generator.images(wanted.labels[rows], rows)
    write_shard(images, wanted.about, rows, {"images": made, "where": np.array(generator.where)})


class SampleSet:
    """What a sample set is to be.

    Attributes:
        labels: Each image's, -1 where the network knows none.
        about: What the images are about, as `samples` and `record` have it. What depends on the
            machine is no part of it.
    """

    def __init__(self, request: Request, model: Path, guide: Path | None):
        self.options = parse(SampleOptions, request["spec"], ("sample",))
        self.seed, self.model, self.guide = request["seed"], model, guide
        network, options = read_metadata(model), self.options
        classes, labelled = network["classes"], network["label"] != "nothing"
        if options.num_images % classes and labelled:
            raise LtdmError(
                f"sample.num_images is {options.num_images}, but must be a multiple of the"
                f" {classes} classes, so that each gets the same number"
            )
        average = network.get("average", {}).get("sigma_rel")
        if average != options.ema_sigma_rel:
            raise LtdmError(
                f"{model} has the weights of sigma_rel {average or 'unset'}, but"
                f" sample.ema_sigma_rel is {options.ema_sigma_rel or 'unset'}; take the other file,"
                " or make it with `ltdm posthoc`"
            )
        numbers = np.arange(options.num_images)
        self.labels = numbers % classes if labelled else np.full_like(numbers, -1)
        self.about = {
            "sampler": options.how,
            "guidance": options.guidance,
            "weights": options.whose,
            **{key: request[key] for key in ("spec", "seed", "code")},
            "model": network["key"],
        }
        if guide:
            self.about["guide"] = read_metadata(guide)["key"]

    def generator(self) -> SampleGenerator:
        """Return the network set up to make the images."""
        precision, device = self.options.precision, pick_device()
        model = Model.read(self.model, self.options.weights, precision, device)
        guide = Model.read(self.guide, "ema", precision, device) if self.guide else None
        return SampleGenerator(model, self.options, self.seed, guide)
