"""Trained network and labelled images -> how well linear classifiers read its features."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltdm.core.device import pick
from ltdm.core.seeding import derive
from ltdm.core.weights import read_about, read_weights
from ltdm.data._held_out import held_out
from ltdm.metrics._groups import groups
from ltdm.networks._players import build_network
from ltdm.networks._predictor import Predictor, placed
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_npz, reading, sha256, write_json
from ltdm.plumbing.options import parse
from ltdm.plumbing.registry import part, stage_code
from ltdm.reporting.rows import write_rows
from ltdm.training.probe import Labelled, Probe, ProbeOptions

SHARE = 0.1
"""Of the probe's training images: what level and layer are chosen on."""


def run(spec: dict[str, Any], grouping: dict[str, Any], where: dict[str, Any], *, model: Path,
        train: Path, test: Path, counts: Path, table: Path, record: Path) -> None:  # fmt: skip
    """Write `table` (CSV): a row for each level, layer and group of classes.

    A tenth of each class of the training images is held out of all classifiers' training. What is
    best there, by the mean of the classes' accuracies, is `chosen`; the test images have no say.

    Args:
        spec: The probe's options.
        grouping: The `kinds` of group to report, and the bounds of `shots`.
        where: Columns that say which network it is: dataset, run, seed.
        model: The network's safetensors.
        train: The labelled images to learn from: the reference, or the training set (.npz).
        test: What the stage `probe_split` wrote.
        counts: counts.csv of the data set.
        table: Where the rows go.
        record: Where a record goes of what was asked for, of what, by what code.

    Raises:
        LtdmError: A file is damaged, the model is no single network, or what it says is not finite.
    """
    options = parse(ProbeOptions, spec, ("evaluate", "probe"))
    with reading(counts):
        class_counts = pd.read_csv(counts)["train"].tolist()
    images, labels = _without(train, test)
    test_images, test_labels, about = read_npz(test, "images", "labels", "about")
    probe = _probe(model, options)
    kept = held_out(labels, SHARE, derive("probe held out", options.seed))
    if not len(kept):
        raise LtdmError(
            f"{train} has one image of each class, so none can be held out to choose a level and a"
            " layer on; set evaluate.probe.train_on to balanced, or take more images"
        )
    rest = np.setdiff1d(np.arange(len(labels)), kept)
    device = probe.predict.device
    probe.fit(Labelled.on(device, images[rest], labels[rest]))
    right = probe.right(Labelled.on(device, images[kept], labels[kept]), "validation")
    validation = by_class(right, labels[kept])
    chosen = divmod(int(validation.argmax()), len(options.layers))
    tested = probe.right(Labelled.on(device, test_images, test_labels), "test")
    wanted = groups(class_counts, **grouping)
    rows = [
        {**where, **cell, "group": group, **_accuracy(tested[v, k], np.isin(test_labels, classes)),
         "validation": validation[v, k], "n_train": len(rest), "chosen": (v, k) == chosen}
        for v, k, cell in _cells(probe, options)
        for group, classes in wanted.items()
    ]  # fmt: skip
    told = {"train_on": options.train_on, **json.loads(str(about)), "weights": options.weights}
    known = read_about(model)
    parts = [part(kind, known[kind], (kind,)) for kind in ("network", "process")]
    write_json(record, {
        **told, "probe": spec, "groups": grouping, **where, "model": known["key"],
        "level": options.levels[chosen[0]], "layer": options.layers[chosen[1]],
        "sha256": {Path(p).name: sha256(p) for p in (train, test, counts)},
        "code": stage_code("probe", *parts),
    })  # fmt: skip
    write_rows(pd.DataFrame(rows).assign(**told), table)


def by_class(right: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean over classes of the share that is right, (V, L), of bool (V, L, N)."""
    shares = [right[..., labels == c].mean(-1) for c in np.unique(labels)]
    found: np.ndarray = np.mean(shares, axis=0)
    return found


def _without(train: Path, test: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels to learn from, those left out that the test images are of."""
    images, labels = read_npz(train, "images", "labels")
    (tested,) = read_npz(test, "index")
    index = np.arange(len(labels))
    if Path(train).name == "train.npz":
        (index,) = read_npz(train, "index")
    left = ~np.isin(index, tested)
    return images[left], labels[left]


def _probe(model: Path, options: ProbeOptions) -> Probe:
    """Return the classifiers of a network on disk, not yet trained."""
    tensors, about = read_weights(model, f"{options.weights}.")
    if about["label"] == "network":
        raise LtdmError(f"{model} holds a network for each class, so there is no one to probe")
    network, process = (part(kind, about[kind], (kind,)) for kind in ("network", "process"))
    device, (channels, side) = pick(), (about["channels"], about["size"])
    net = build_network(network, about["label"], channels, side, about["classes"], about["told"])
    net.load_state_dict(tensors)
    predict = Predictor(placed(net, device, "auto").eval(), device, "auto")
    made = process.module.build(process.options).to(device)
    return Probe(predict, made, options, about["classes"], (channels, side, side))


def _cells(probe: Probe, options: ProbeOptions) -> list[tuple[int, int, dict[str, Any]]]:
    """Return places and columns of each level and layer."""
    return [
        (v, k, {"level": t, "sigma": probe.sigmas[v], "layer": layer, "width": probe.widths[k]})
        for v, t in enumerate(options.levels)
        for k, layer in enumerate(options.layers)
    ]


def _accuracy(right: np.ndarray, among: np.ndarray) -> dict[str, float]:
    """Return the share of some images that is right, and its standard error."""
    number = int(among.sum())
    share = right[among].mean() if number else np.nan
    return {
        "accuracy": share,
        "error": np.sqrt(share * (1 - share) / max(number, 1)),
        "n_test": number,
    }
