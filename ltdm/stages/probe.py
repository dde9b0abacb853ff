"""Trained network and labelled images -> how well linear classifiers read its features."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltdm.core.device import pick_device
from ltdm.core.seeding import derive_seed
from ltdm.data._holdout import stratified_holdout
from ltdm.diffusion._model import Model
from ltdm.metrics._groups import groups
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors, read_arrays, read_npz, sha256, write_json
from ltdm.plumbing.options import parse
from ltdm.plumbing.request import Request, to_record
from ltdm.reporting.rows import write_rows
from ltdm.training.probe import LabelledImages, Probe, ProbeOptions

SHARE = 0.1
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
    with explain_read_errors(counts):
        wanted = groups(pd.read_csv(counts)["train"].tolist(), **grouping)
    images, labels = _without(train, test)
    test_images, test_labels, about = read_npz(test, "images", "labels", "about")
    probe, key = _probe(model, options)
    kept = _kept(labels, options, train)
    rest = np.setdiff1d(np.arange(len(labels)), kept)
    device = probe.predict.device
    probe.fit(LabelledImages.to_device(device, images[rest], labels[rest]))
    right = probe.correct(
        LabelledImages.to_device(device, images[kept], labels[kept]), "validation"
    )
    validation = class_blocks(right, labels[kept])
    chosen = divmod(int(validation.argmax()), len(options.layers))
    right = probe.correct(LabelledImages.to_device(device, test_images, test_labels), "test")
    told = {"train_on": options.train_on, **json.loads(str(about)), "weights": options.weights}
    rows = []
    for (v, level), (k, layer) in product(
        enumerate(options.noise_levels), enumerate(options.layers)
    ):
        cell = {
            "level": level,
            "sigma": probe.sigmas[v],
            "layer": layer,
            "width": probe.feature_dims[k],
        }
        known = {"validation": validation[v, k], "n_train": len(rest), "chosen": (v, k) == chosen}
        found = _tested(right[v, k], test_labels, wanted)
        rows += [{**where, **cell, **one, **known} for one in found]
    made = {
        "model": key,
        "level": options.noise_levels[chosen[0]],
        "layer": options.layers[chosen[1]],
        "sha256": {path.name: sha256(path) for path in (train, test, counts)},
    }
    write_json(record, {**to_record(request), **where, **told, **made})
    write_rows(pd.DataFrame(rows).assign(**told), table)


def _kept(labels: np.ndarray, options: ProbeOptions, train: Path) -> np.ndarray:
    """Return the rows that are held out of the classifiers' training; there must be some."""
    kept = stratified_holdout(labels, SHARE, derive_seed("probe held out", options.seed))
    if not len(kept):
        raise LtdmError(
            f"{train} has one image of each class, so none can be held out to choose a level and a"
            " layer on; set evaluate.probe.train_on to balanced, or take more images"
        )
    return kept


def class_blocks(right: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean over classes of the share that is right, (V, L), of bool (V, L, N)."""
    shares = [right[..., labels == c].mean(-1) for c in np.unique(labels)]
    found: np.ndarray = np.mean(shares, axis=0)
    return found


def _without(train: Path, test: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels to learn from, those left out that the test images are of."""
    found = read_arrays(train, ("images", "labels"), ("index",))
    (tested,) = read_npz(test, "index")
    labels = found["labels"]
    index = found.get("index", np.arange(len(labels)))
    left = ~np.isin(index, tested)
    return found["images"][left], labels[left]


def _probe(file: Path, options: ProbeOptions) -> tuple[Probe, str]:
    """Return the classifiers of a network on disk, not yet trained, and the network's key."""
    model = Model.from_file(file, options.weights, "auto", pick_device())
    about = model.metadata
    if about["label"] == "network":
        raise LtdmError(f"{file} holds a network for each class, so there is no one to probe")
    shape = (about["channels"], about["size"], about["size"])
    probe = Probe(model.predictors[0], model.process, options, about["classes"], shape)
    return probe, about["key"]


def _tested(
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
