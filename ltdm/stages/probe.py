"""Trained network and labelled images -> how well linear classifiers read its features."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltdm.core.device import pick
from ltdm.core.seeding import derive
from ltdm.data._held_out import held_out
from ltdm.diffusion._model import Model
from ltdm.metrics._groups import groups
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_arrays, read_npz, reading, sha256, write_json
from ltdm.plumbing.options import parse
from ltdm.plumbing.request import Request, recorded
from ltdm.reporting.rows import write_rows
from ltdm.training.probe import Labelled, Probe, ProbeOptions

VALIDATION_SHARE = 0.1
"""Of the probe's training images: what level and layer are chosen on."""


def run(
    request: Request,
    *,
    model: Path,
    train: Path,
    test: Path,
    counts: Path,
    table: Path,
    record: Path,
) -> None:
    """Write `table` (CSV): a row for each level, layer and group of classes.

    A tenth of each class of the training images is held out of all classifiers' training. What is
    best there, by the mean of the classes' accuracies, is `chosen`; the test images have no say.

    `request` has `probe`, its options; `groups`, the `kinds` of group to report and the bounds of
    `shots`; and `where`, columns that say which network it is: dataset, run, seed. `train` are the
    labelled images to learn from, the reference or the training set; `test` are those of the stage
    `probe_split`.

    Raises:
        LtdmError: The model is no single network, or what it says is not finite.
    """
    options = parse(ProbeOptions, request["probe"], ("evaluate", "probe"))
    where, grouping = request["where"], request["groups"]
    with reading(counts):
        wanted = groups(pd.read_csv(counts)["train"].tolist(), **grouping)
    images, labels = _exclude_test_images(train, test)
    test_images, test_labels, about = read_npz(test, "images", "labels", "about")
    probe, key = _load_probe(model, options)
    kept = _validation_rows(labels, options, train)
    rest = np.setdiff1d(np.arange(len(labels)), kept)
    device = probe.predict.device
    probe.fit(Labelled.on(device, images[rest], labels[rest]))
    right = probe.right(Labelled.on(device, images[kept], labels[kept]), "validation")
    validation = mean_class_accuracy(right, labels[kept])
    chosen = divmod(int(validation.argmax()), len(options.layers))
    right = probe.right(Labelled.on(device, test_images, test_labels), "test")
    told = {"train_on": options.train_on, **json.loads(str(about)), "weights": options.weights}
    rows = []
    for (v, level), (k, layer) in product(
        enumerate(options.noise_levels), enumerate(options.layers)
    ):
        cell = {"level": level, "sigma": probe.sigmas[v], "layer": layer, "width": probe.widths[k]}
        known = {"validation": validation[v, k], "n_train": len(rest), "chosen": (v, k) == chosen}
        found = _group_accuracies(right[v, k], test_labels, wanted)
        rows += [{**where, **cell, **one, **known} for one in found]
    made = {
        "model": key,
        "level": options.noise_levels[chosen[0]],
        "layer": options.layers[chosen[1]],
        "sha256": {path.name: sha256(path) for path in (train, test, counts)},
    }
    write_json(record, {**recorded(request), **where, **told, **made})
    write_rows(pd.DataFrame(rows).assign(**told), table)


def _validation_rows(labels: np.ndarray, options: ProbeOptions, train: Path) -> np.ndarray:
    """Return the rows that are held out of the classifiers' training; there must be some."""
    kept = held_out(labels, VALIDATION_SHARE, derive("probe held out", options.seed))
    if not len(kept):
        raise LtdmError(
            f"{train} has one image of each class, so none can be held out to choose a level and a"
            " layer on; set evaluate.probe.train_on to balanced, or take more images"
        )
    return kept


def mean_class_accuracy(right: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean over classes of the share that is right, (V, L), of bool (V, L, N)."""
    shares = [right[..., labels == c].mean(-1) for c in np.unique(labels)]
    found: np.ndarray = np.mean(shares, axis=0)
    return found


def _exclude_test_images(train: Path, test: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels to learn from, those left out that the test images are of."""
    found = read_arrays(train, ("images", "labels"), ("index",))
    (tested,) = read_npz(test, "index")
    labels = found["labels"]
    index = found.get("index", np.arange(len(labels)))
    left = ~np.isin(index, tested)
    return found["images"][left], labels[left]


def _load_probe(file: Path, options: ProbeOptions) -> tuple[Probe, str]:
    """Return the classifiers of a network on disk, not yet trained, and the network's key."""
    model = Model.read(file, options.weights, "auto", pick())
    about = model.about
    if about["label"] == "network":
        raise LtdmError(f"{file} holds a network for each class, so there is no one to probe")
    shape = (about["channels"], about["size"], about["size"])
    probe = Probe(model.predictors[0], model.process, options, about["classes"], shape)
    return probe, about["key"]


def _group_accuracies(
    right: np.ndarray, labels: np.ndarray, wanted: dict[str, list[int]]
) -> Iterator[dict[str, Any]]:
    """Yield one classifier's accuracy in each group, and its standard error.

    `right` says of each of the test images (N,) whether it is right, `wanted` each group's classes.
    """
    for group, classes in wanted.items():
        among = np.isin(labels, classes)
        number = int(among.sum())
        share = right[among].mean() if number else np.nan
        error = np.sqrt(share * (1 - share) / max(number, 1))
        yield {"group": group, "accuracy": share, "error": error, "n_test": number}
