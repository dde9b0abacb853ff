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
from ltdm.networks._players import build_network
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
    if options.images % about["classes"] and about["label"] != "nothing":
        raise LtdmError(
            f"sample.images is {options.images}, but must be a multiple of the"
            f" {about['classes']} classes, so that each gets the same number"
        )
    parts = [part(kind, about[kind], (kind,)) for kind in ("network", "process")]
    sampler = Sampling(tensors, about, options, seed, pick())
    labels = np.arange(options.images) % about["classes"]
    if about["label"] == "nothing":
        labels = np.full_like(labels, -1)
    made = {
        "sampler": str(options.sampler), "guidance": options.guidance,
        "weights": options.weights, "spec": spec, "seed": seed, "model": about["key"],
        "code": stage_code("sample", *parts, options.sampler),
    }  # fmt: skip
    images = sampler.images(labels)
    write_json(record, made)
    write_npz(samples, images=images, labels=labels, about=np.array(json.dumps(made)))


def _own(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the tensors whose names start with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


class Sampling:
    """A network, or one for each class, set up to make the images of one sample set."""

    def __init__(self, tensors: dict[str, torch.Tensor], about: dict[str, Any],
                 options: SampleOptions, seed: int, device: torch.device):  # fmt: skip
        network = part("network", about["network"], ("network",))
        process = part("process", about["process"], ("process",))
        shape = about["label"], *(about[k] for k in ("channels", "size", "classes", "told"))
        self.by_label = about["label"] == "network"
        self.predictors = []
        for k in range(about["classes"]) if self.by_label else [None]:
            net = build_network(network, *shape)
            net.load_state_dict(_own(tensors, f"nets.{k}.") if self.by_label else tensors)
            net = placed(net, device).eval()
            self.predictors.append(Predictor(net, device, options.precision))
        self.process = process.module.build(process.options).to(device)
        self.options, self.seed, self.device = options, seed, device
        self.shape = (about["channels"], about["size"], about["size"])
        self.points = about["points"]
        share, most = options.images // len(self.predictors), BATCH[device.type]
        self.block = -(-share // -(-share // most))  # blocks as even as can be

    def images(self, labels: np.ndarray, first: int = 0) -> np.ndarray:
        """Return images number first, first + 1, ... with these labels, uint8 (N, C, H, W).

        Points are float32.
        """
        kind = np.float32 if self.points else np.uint8
        made = np.empty((len(labels), *self.shape), kind)
        with Progress("sampling", len(labels), "images") as progress:
            for k in range(len(self.predictors)):
                mine = np.flatnonzero(labels == k) if self.by_label else np.arange(len(labels))
                self._fill(made, labels, first, k, mine, progress)
        return made

    def _fill(self, made: np.ndarray, labels: np.ndarray, first: int, network: int,
              mine: np.ndarray, progress: Progress) -> None:  # fmt: skip
        """Make one network's images, in blocks of one size."""
        done = 0
        while done < len(mine):
            positions, new = next(fixed_blocks(len(mine), self.block, done))
            rows = mine[positions]
            try:
                made[rows[:new]] = self.batch(labels[rows], first + rows, network)[:new]
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
        denoise = denoiser(predict, self.process, on_device, self.options.guidance)
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
