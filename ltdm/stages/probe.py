"""Trained network and labelled images -> accuracy of linear classifiers on its features."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltdm.core.device import pick_device
from ltdm.core.image_files import read_image_file
from ltdm.core.seeding import derive_seed
from ltdm.data._holdout import stratified_holdout
from ltdm.diffusion._model import Model
from ltdm.metrics._groups import groups
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import sha256, write_json
from ltdm.plumbing.options import parse
from ltdm.plumbing.request import Request, to_record
from ltdm.reporting.rows import read_classes, write_rows
from ltdm.training.probe import LabelledImages, Probe, ProbeOptions

VALIDATION_SHARE = 0.1
"""The share of the probe's training images on which level and layer are chosen."""


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
    """Write `table` (CSV): a row per level, layer and group of classes.

    A tenth of each class of the training images is held out for validation. The level and layer
    with the best mean of class accuracies there are `chosen`; the test images do not influence it.

    `request` has `probe`, the options; `groups`, the `kinds` of groups and the bounds of `shots`;
    and `where`, the columns dataset, run and seed. `train` holds the labelled training images, the
    reference or the training set; `test` those of the stage `probe_split`; `counts` (CSV) the
    training images per class, which define the groups.

    Raises:
        LtdmError: The model is not a single network, its output is not finite, or no class has two
            images.
    """
    options = parse(ProbeOptions, request["probe"], ("evaluate", "probe"))
    classes_by_group = groups(read_classes(counts)["train"].tolist(), **request["groups"])
    result, rows = _train_and_test(model, options, train, test, classes_by_group)
    hashes = {path.name: sha256(path) for path in (train, test, counts)}
    where = request["where"]
    write_json(record, {**to_record(request), **where, **result, "sha256": hashes})
    write_rows(pd.DataFrame([{**where, **row} for row in rows]), table)


def _train_and_test(
    file: Path,
    options: ProbeOptions,
    train: Path,
    test: Path,
    classes_by_group: dict[str, list[int]],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Train and test classifiers on the network of a model file.

    Return the record's entries, which name the network, the images and the chosen level and layer,
    and the table's rows.
    """
    test_images, test_labels, origin, test_rows = read_image_file(test)
    images, labels = _exclude_rows(train, test_rows)
    probe, key = _load_probe(file, options)
    validation_rows = _validation_rows(labels, options, train)
    validation = _train(probe, images, labels, validation_rows)
    v, k = divmod(int(validation.argmax()), len(options.layers))
    tests = LabelledImages.to_device(probe.predict.device, test_images, test_labels)
    correct = probe.correct(tests, "test")
    n_train = len(labels) - len(validation_rows)
    split = {"train_on": options.train_on, **origin, "weights": options.weights}
    rows = [
        {**_describe(probe, cell), **accuracy, "validation": validation[cell]}
        | {"n_train": n_train, "chosen": cell == (v, k), **split}
        for cell in np.ndindex(validation.shape)
        for accuracy in _group_accuracies(correct[cell], test_labels, classes_by_group)
    ]
    chosen = {"level": options.noise_levels[v], "layer": options.layers[k]}
    return {**split, "model": key, **chosen}, rows


def _train(
    probe: Probe, images: np.ndarray, labels: np.ndarray, validation_rows: np.ndarray
) -> np.ndarray:
    """Train the classifiers on the other rows; return their validation accuracies, (V, L)."""
    device = probe.predict.device
    train_rows = np.setdiff1d(np.arange(len(labels)), validation_rows)
    probe.fit(LabelledImages.to_device(device, images[train_rows], labels[train_rows]))
    validation = LabelledImages.to_device(device, images[validation_rows], labels[validation_rows])
    return mean_class_accuracy(probe.correct(validation, "validation"), labels[validation_rows])


def _validation_rows(labels: np.ndarray, options: ProbeOptions, train: Path) -> np.ndarray:
    """Return the rows of the validation images, the same share of each class; at least one."""
    rows = stratified_holdout(labels, VALIDATION_SHARE, derive_seed("probe held out", options.seed))
    if not len(rows):
        raise LtdmError(
            f"{train} has one image per class, so no level and layer can be chosen on others;"
            " set evaluate.probe.train_on to balanced, or take more images"
        )
    return rows


def mean_class_accuracy(correct: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean over classes of their accuracy, (V, L) for V levels and L layers.

    `correct` is bool (V, L, N), `labels` are those of the N images; rare classes count as much.
    """
    accuracies = [correct[..., labels == c].mean(-1) for c in np.unique(labels)]
    mean: np.ndarray = np.mean(accuracies, axis=0)
    return mean


def _exclude_rows(train: Path, test_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of `train`, without those at `test_rows` of the source."""
    images, labels, _, source_rows = read_image_file(train)
    rows = ~np.isin(source_rows, test_rows)
    return images[rows], labels[rows]


def _load_probe(file: Path, options: ProbeOptions) -> tuple[Probe, str]:
    """Return untrained classifiers on the network of a model file, and the network's key."""
    model = Model.from_file(file, options.weights, "auto", pick_device())
    metadata = model.metadata
    if metadata["label"] == "network":
        raise LtdmError(
            f"{file} holds one network per class, and a probe needs a single one; take this run out"
            " or switch evaluate.probe off"
        )
    shape = (metadata["channels"], metadata["size"], metadata["size"])
    probe = Probe(model.predictors[0], model.process, options, metadata["classes"], shape)
    return probe, metadata["key"]


def _describe(probe: Probe, cell: tuple[int, ...]) -> dict[str, Any]:
    """Return the columns of one classifier: its level, noise-to-signal ratio, layer and width."""
    v, k = cell
    options = probe.options
    level, layer = options.noise_levels[v], options.layers[k]
    return {
        "level": level,
        "sigma": probe.sigmas[v],
        "layer": layer,
        "width": probe.feature_dims[k],
    }


def _group_accuracies(
    correct: np.ndarray, labels: np.ndarray, classes_by_group: dict[str, list[int]]
) -> Iterator[dict[str, Any]]:
    """Yield one classifier's accuracy per group of classes, and its binomial standard error.

    `correct`, bool, and `labels` are (N,), of the test images; of none the accuracy is NaN.
    """
    for group, classes in classes_by_group.items():
        members = np.isin(labels, classes)
        number = int(members.sum())
        accuracy = correct[members].mean() if number else np.nan
        error = np.sqrt(accuracy * (1 - accuracy) / max(number, 1))
        yield {"group": group, "accuracy": accuracy, "error": error, "n_test": number}
