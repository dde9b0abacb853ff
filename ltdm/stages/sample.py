"""Trained network -> a set of generated images."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ltdm.batching import fixed_blocks
from ltdm.device import pick
from ltdm.errors import LtdmError
from ltdm.files import write_json, write_npz
from ltdm.networks._predictor import Predictor, placed
from ltdm.options import parse
from ltdm.progress import Progress
from ltdm.registry import part, stage_code
from ltdm.samplers._denoise import ImageNoise, denoiser
from ltdm.samplers._options import SampleOptions
from ltdm.weights import read_weights

log = logging.getLogger("ltdm")
BATCH = {"cpu": 64, "cuda": 1000}  # images a call of the network


def run(spec: dict[str, Any], seed: int, *, model: Path, samples: Path, record: Path) -> None:
    """Write `samples` (.npz: images NCHW, labels, about), the same number of each class.

    Args:
        spec: The sample set's options.
        seed: Owner of the images' noise, together with each image's number.
        model: The network's safetensors.
        samples: Where the images go, with what they are about: sampler, guidance, weights, model.
        record: Where samples.json goes: the same, for a look without the images.

    Raises:
        LtdmError: The number of images does not suit the classes, or the model is damaged or bad.
    """
    options = parse(SampleOptions, spec, ("sample",))
    tensors, about = read_weights(model, f"{options.weights}.")
    if options.images % about["classes"]:
        raise LtdmError(
            f"sample.images is {options.images}, but must be a multiple of the"
            f" {about['classes']} classes, so that each gets the same number"
        )
    parts = [part(kind, about[kind], (kind,)) for kind in ("network", "process")]
    sampler = Sampling(tensors, about, options, seed, pick())
    labels = np.arange(options.images) % about["classes"]
    made = {
        "sampler": str(options.sampler), "guidance": options.guidance,
        "weights": options.weights, "spec": spec, "seed": seed, "model": about["key"],
        "code": stage_code("sample", *parts, options.sampler),
    }  # fmt: skip
    images = sampler.images(labels)
    write_json(record, made)
    write_npz(samples, images=images, labels=labels, about=np.array(json.dumps(made)))


class Sampling:
    """A network set up to make the images of one sample set."""

    def __init__(self, tensors: dict[str, torch.Tensor], about: dict[str, Any],
                 options: SampleOptions, seed: int, device: torch.device):  # fmt: skip
        network = part("network", about["network"], ("network",))
        process = part("process", about["process"], ("process",))
        shape = about["channels"], about["size"], about["classes"], about["told"]
        net = network.module.build(network.options, *shape)
        net.load_state_dict(tensors)
        self.predict = Predictor(placed(net, device).eval(), device, options.precision)
        self.process = process.module.build(process.options).to(device)
        self.options, self.seed, self.device = options, seed, device
        self.shape = (about["channels"], about["size"], about["size"])
        self.points = about["points"]

    def images(self, labels: np.ndarray, first: int = 0) -> np.ndarray:
        """Return images number first, first + 1, ... with these labels, uint8 (N, C, H, W).

        Points are float32.
        """
        kind = np.float32 if self.points else np.uint8
        made, done = np.empty((len(labels), *self.shape), kind), 0
        size = min(BATCH[self.device.type], self.options.images)
        with Progress("sampling", len(labels), "images") as progress:
            while done < len(labels):
                rows, new = next(fixed_blocks(len(labels), size, done))
                try:
                    made[done : done + new] = self.batch(labels[rows], first + rows)[:new]
                except torch.OutOfMemoryError:
                    if size == 1:
                        raise
                    size //= 2
                    log.info("out of GPU memory: sampling %d images at once from here", size)
                    continue
                done += new
                progress.advance(new)
        return made

    @torch.inference_mode()
    def batch(self, labels: np.ndarray, owners: np.ndarray) -> np.ndarray:
        """Return the images of these numbers and labels, made in one go, (B, C, H, W)."""
        noise = ImageNoise(self.seed, owners.tolist(), self.shape, self.device)
        on_device = torch.from_numpy(labels).to(self.device)
        denoise = denoiser(self.predict, self.process, on_device, self.options.guidance)
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
