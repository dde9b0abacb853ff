"""Trained network and labelled images -> how well linear classifiers read its features."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

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
from ltdm.plumbing.request import recorded
from ltdm.reporting.rows import write_rows
from ltdm.training.probe import Labelled, Probe, ProbeOptions

SHARE = 0.1
"""Of the probe's training images: what level and layer are chosen on."""


def run(
    request: Mapping[str, Any],
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

    Args:
        request: `probe`, its options; `groups`, the `kinds` of group to report and the bounds of
            `shots`; `code`; and `where`, columns that say which network it is: dataset, run, seed.
        model: The network's safetensors.
        train: The labelled images to learn from: the reference, or the training set (.npz).
        test: What the stage `probe_split` wrote.
        counts: counts.csv of the data set.
        table: Where the rows go.
        record: Where a record goes of what was asked for, of what, by what code.

    Raises:
        LtdmError: A file is damaged, the model is no single network, or what it says is not finite.
    """
    options = parse(ProbeOptions, request["probe"], ("evaluate", "probe"))
    where, grouping = request["where"], request["groups"]
    with reading(counts):
        wanted = groups(pd.read_csv(counts)["train"].tolist(), **grouping)
    images, labels = _without(train, test)
    test_images, test_labels, about = read_npz(test, "images", "labels", "about")
    probe, key = _probe(model, options)
    kept = _kept(labels, options, train)
    rest = np.setdiff1d(np.arange(len(labels)), kept)
    device = probe.predict.device
    probe.fit(Labelled.on(device, images[rest], labels[rest]))
    right = probe.right(Labelled.on(device, images[kept], labels[kept]), "validation")
    validation = by_class(right, labels[kept])
    chosen = divmod(int(validation.argmax()), len(options.layers))
    right = probe.right(Labelled.on(device, test_images, test_labels), "test")
    tested = Tested(right, test_labels, wanted)
    told = {"train_on": options.train_on, **json.loads(str(about)), "weights": options.weights}
    rows = [
        {**where, **cell, **one, "validation": validation[at], "n_train": len(rest)}
        | {"chosen": at == chosen}
        for at, cell in _cells(probe, options)
        for one in tested.rows(at)
    ]
    made = {
        "model": key,
        "level": options.levels[chosen[0]],
        "layer": options.layers[chosen[1]],
        "sha256": {Path(p).name: sha256(p) for p in (train, test, counts)},
    }
    write_json(record, {**recorded(request), **where, **told, **made})
    write_rows(pd.DataFrame(rows).assign(**told), table)


def _kept(labels: np.ndarray, options: ProbeOptions, train: Path) -> np.ndarray:
    """Return the rows that are held out of the classifiers' training.

    Raises:
        LtdmError: There are none, as no class has two images.
    """
    kept = held_out(labels, SHARE, derive("probe held out", options.seed))
    if not len(kept):
        raise LtdmError(
            f"{train} has one image of each class, so none can be held out to choose a level and a"
            " layer on; set evaluate.probe.train_on to balanced, or take more images"
        )
    return kept


def by_class(right: np.ndarray, labels: np.ndarray) -> np.ndarray:
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
    """Return the classifiers of a network on disk, not yet trained, and the network's key.

    Raises:
        LtdmError: The file is damaged, or holds a network for each class.
    """
    model = Model.read(file, options.weights, "auto", pick())
    about = model.about
    if about["label"] == "network":
        raise LtdmError(f"{file} holds a network for each class, so there is no one to probe")
    shape = (about["channels"], about["size"], about["size"])
    probe = Probe(model.predictors[0], model.process, options, about["classes"], shape)
    return probe, about["key"]


Cell = tuple[int, int]
"""Places of a level and a layer."""


def _cells(probe: Probe, options: ProbeOptions) -> list[tuple[Cell, dict[str, Any]]]:
    """Return places and columns of each level and layer."""
    return [
        ((v, k), {"level": t, "sigma": probe.sigmas[v], "layer": layer, "width": probe.widths[k]})
        for v, t in enumerate(options.levels)
        for k, layer in enumerate(options.layers)
    ]


class Tested(NamedTuple):
    """What the classifiers say of the test images.

    Attributes:
        right: Whether each is right about each image, bool (V, L, N).
        labels: The images', int64 (N,).
        groups: The classes of each group.
    """

    right: np.ndarray
    labels: np.ndarray
    groups: Mapping[str, list[int]]

    def rows(self, at: Cell) -> list[dict[str, Any]]:
        """Return the accuracy of one classifier in each group, and its standard error."""
        rows = []
        for group, classes in self.groups.items():
            among = np.isin(self.labels, classes)
            number = int(among.sum())
            share = self.right[at][among].mean() if number else np.nan
            error = np.sqrt(share * (1 - share) / max(number, 1))
            rows.append({"group": group, "accuracy": share, "error": error, "n_test": number})
        return rows
