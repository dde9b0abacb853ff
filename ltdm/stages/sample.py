"""Trained network -> a set of generated images, made by one job or by several side by side."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ltdm.core.blocks import fixed_blocks
from ltdm.core.device import device_name, layout, pick
from ltdm.core.shards import blocks, clear, share, whole, write_part
from ltdm.core.weights import read_about, read_weights
from ltdm.networks._players import build_network, network_of
from ltdm.networks._predictor import Predictor, placed
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, write_json, write_npz
from ltdm.plumbing.options import parse
from ltdm.plumbing.progress import Progress
from ltdm.plumbing.registry import part, stage_code
from ltdm.samplers._denoise import ImageNoise, denoiser
from ltdm.samplers._options import SampleOptions

log = logging.getLogger("ltdm")
Tensors = dict[str, torch.Tensor]
BATCH = {"cpu": 64, "cuda": 1000}  # images a call of the network


def run(spec: dict[str, Any], seed: int, *, model: Path, samples: Path, record: Path,
        guide: Path | None = None) -> None:  # fmt: skip
    """Write `samples` (.npz: images NCHW, labels, about), the same number of each class.

    Args:
        spec: The sample set's options.
        seed: Owner of the images' noise, together with each image's number.
        model: The network's safetensors.
        samples: Where the images go, with what they are about: sampler, guidance, weights, model.
        record: Where samples.json goes: the same, for a look without the images, and where and how
            they were made: device, precision, layout.
        guide: The safetensors of the run that the option `guide` names.

    Raises:
        LtdmError: The number of images does not suit the classes, or the model is damaged or bad.
    """
    wanted = SampleSet(spec, seed, model, guide)
    sampling = wanted.sampling()
    images = sampling.images(wanted.labels, np.arange(len(wanted.labels)))
    wanted.write(images, [sampling.where], samples, record)


def shard(spec: dict[str, Any], seed: int, which: tuple[int, int], *, model: Path,
          output: Path, guide: Path | None = None) -> None:  # fmt: skip
    """Make some of a set's images, as a job of its own; see `run`.

    Args:
        spec: The sample set's options.
        seed: Owner of the images' noise.
        which: The shard's number, from 0, and how many there are.
        model: The network's safetensors.
        output: Where the images go, with their numbers.
        guide: The safetensors of the run that the option `guide` names.
    """
    wanted = SampleSet(spec, seed, model, guide)
    sampling = wanted.sampling()
    rows = sampling.share(wanted.labels, which)
    made = {"images": sampling.images(wanted.labels[rows], rows), "where": np.array(sampling.where)}
    write_part(output, wanted.about, rows, made)


def gather(spec: dict[str, Any], seed: int, *, model: Path, shards: Sequence[Path], samples: Path,
           record: Path, guide: Path | None = None) -> None:  # fmt: skip
    """Write from its shards what `run` writes; no network is asked.

    Raises:
        LtdmError: The shards are damaged, not this set's, or not all of it.
    """
    wanted = SampleSet(spec, seed, model, guide)
    parts = whole(shards, wanted.about, len(wanted.labels), ["images"])
    told = [read_npz(file, "rows", "where") for file in shards]
    where = dict.fromkeys(str(where) for rows, where in told if len(rows))
    wanted.write(parts["images"], [*where], samples, record)


class SampleSet:
    """What a sample set is to be.

    Attributes:
        labels: Each image's, -1 where the network knows none.
        about: What the images are about, as `samples` and `record` have it. What depends on the
            machine is no part of it.
    """

    def __init__(self, spec: dict[str, Any], seed: int, model: Path, guide: Path | None = None):
        self.options, self.seed, self.model = parse(SampleOptions, spec, ("sample",)), seed, model
        self.guide = guide
        network, options = read_about(model), self.options
        classes, labelled = network["classes"], network["label"] != "nothing"
        if options.images % classes and labelled:
            raise LtdmError(
                f"sample.images is {options.images}, but must be a multiple of the"
                f" {classes} classes, so that each gets the same number"
            )
        average = network.get("average", {}).get("sigma_rel")
        if average != options.sigma_rel:
            raise LtdmError(
                f"{model} has the weights of sigma_rel {average or 'unset'}, but sample.sigma_rel"
                f" is {options.sigma_rel or 'unset'}; take the other file, or make it with `ltdm"
                " posthoc`"
            )
        numbers = np.arange(options.images)
        self.labels = numbers % classes if labelled else np.full_like(numbers, -1)
        parts = [part(kind, network[kind], (kind,)) for kind in ("network", "process")]
        self.about = {
            "sampler": options.how, "guidance": options.guidance,
            "weights": options.whose, "spec": spec, "seed": seed, "model": network["key"],
            "code": stage_code("sample", *parts, options.sampler),
        }  # fmt: skip
        if guide:
            self.about["guide"] = read_about(guide)["key"]

    def sampling(self) -> "Sampling":
        """Return the network set up to make the images."""
        tensors, about = read_weights(self.model, f"{self.options.weights}.")
        guide = read_weights(self.guide, "ema.") if self.guide else None
        return Sampling(tensors, about, self.options, self.seed, pick(), guide)

    def write(self, images: np.ndarray, where: list[str], samples: Path, record: Path) -> None:
        """Write all images, and clear away what only an unfinished set needs."""
        write_json(record, {**self.about, "where": where})
        about = np.array(json.dumps(self.about))
        write_npz(samples, images=images, labels=self.labels, about=about)
        clear(samples)


def _predictor(
    tensors: Tensors, about: dict[str, Any], precision: str, device: torch.device
) -> Predictor:
    """Return one network with its weights, ready to be asked."""
    network = part("network", about["network"], ("network",))
    shape = (about[k] for k in ("channels", "size", "classes", "told"))
    net = build_network(network, about["label"], *shape)
    net.load_state_dict(tensors)
    return Predictor(placed(net, device, precision).eval(), device, precision)


class Sampling:
    """A network, or one for each class, set up to make the images of one sample set.

    A `guide` is the weights of another network and what is told of it.

    Attributes:
        where: Device, precision and layout of the network's calls.
    """

    def __init__(self, tensors: Tensors, about: dict[str, Any], options: SampleOptions, seed: int,
                 device: torch.device,
                 guide: tuple[Tensors, dict[str, Any]] | None = None):  # fmt: skip
        process = part("process", about["process"], ("process",))
        self.by_label = about["label"] == "network"
        classes = range(about["classes"]) if self.by_label else ()
        each = [network_of(tensors, k) for k in classes] or [tensors]
        self.predictors = [_predictor(own, about, options.precision, device) for own in each]
        self.guide = _predictor(*guide, options.precision, device) if guide else None
        self.process = process.module.build(process.options).to(device)
        self.options, self.seed, self.device = options, seed, device
        order = str(layout(options.precision, device)).removeprefix("torch.")
        self.where = f"{device_name(device)}, {options.precision}, {order}"
        self.shape = (about["channels"], about["size"], about["size"])
        self.points = about["points"]
        share, most = options.images // len(self.predictors), BATCH[device.type]
        self.block = -(-share // -(-share // most))  # blocks as even as can be

    def share(self, labels: np.ndarray, shard: tuple[int, int]) -> np.ndarray:
        """Return the numbers of the images that a shard makes, of a set with these labels."""
        cut = [block for mine in self._by_network(labels) for block in blocks(mine, self.block)]
        return share(cut, shard)

    def images(self, labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return the images with these numbers and labels, uint8 (N, C, H, W).

        Points are float32.
        """
        kind = np.float32 if self.points else np.uint8
        made = np.empty((len(labels), *self.shape), kind)
        with Progress("sampling", len(labels), "images") as progress:
            for network, mine in enumerate(self._by_network(labels)):
                self._fill(made, labels, numbers, network, mine, progress)
        return made

    def _by_network(self, labels: np.ndarray) -> list[np.ndarray]:
        """Return the positions of the labels that each network is asked for."""
        if self.by_label:
            return [np.flatnonzero(labels == k) for k in range(len(self.predictors))]
        return [np.arange(len(labels))]

    def _fill(self, made: np.ndarray, labels: np.ndarray, numbers: np.ndarray, network: int,
              mine: np.ndarray, progress: Progress) -> None:  # fmt: skip
        """Make one network's images, in blocks of one size."""
        done = 0
        while done < len(mine):
            positions, new = next(fixed_blocks(len(mine), self.block, done))
            rows = mine[positions]
            try:
                made[rows[:new]] = self.batch(labels[rows], numbers[rows], network)[:new]
            except torch.OutOfMemoryError:
                if self.block == 1:
                    raise
                self.block //= 2
                log.info("out of GPU memory: sampling %d images at once from here", self.block)
                continue
            done += new
            progress.advance(new)

    @torch.inference_mode()
    def batch(self, labels: np.ndarray, owners: np.ndarray, network: int = 0) -> np.ndarray:
        """Return one network's images of these numbers and labels, made in one go, (B, C, H, W)."""
        noise = ImageNoise(self.seed, owners.tolist(), self.shape, self.device)
        on_device = torch.from_numpy(labels).to(self.device)
        predict = self.predictors[network]
        weight = self.options.guidance
        denoise = denoiser(predict, self.process, on_device, weight, self.guide)
        sampler = self.options.sampler
        x = sampler.module.sample(denoise, self.process, noise, sampler.options)
        if not torch.isfinite(x).all():
            raise LtdmError(
                "sampling gave values that are not finite: the network's weights are bad; look at"
                " its history.csv, lower train.lr and train it again"
            )
        if self.points:
            return x.cpu().numpy()
        return (x * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
