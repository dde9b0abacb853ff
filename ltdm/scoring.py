"""Score images that others made, by the same stages as our own.

What is made lies in a folder of its own for each set of images, named by their digest: features are
extracted once for each set, and a reference's are there for all that are compared with it.
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltdm.data import _given
from ltdm.data._base import numbered
from ltdm.errors import LtdmError
from ltdm.files import read_json, read_npz, reading, sha256, write_npz, writing
from ltdm.metrics._base import PIXELS, check_fed, looks_up, reads
from ltdm.options import places
from ltdm.registry import Part, part, stage_code
from ltdm.reporting.rows import read_rows, write_rows
from ltdm.stages import extractor as extractor_stage
from ltdm.stages import features as features_stage
from ltdm.stages import metrics as metrics_stage
from ltdm.stages import neighbours as neighbours_stage

log = logging.getLogger("ltdm")


class Reference:
    """What images are compared with: a prepared data set of ours, or any set of images.

    Args:
        path: A data folder, `results/<experiment>/data/<data set>`, whose classes, training counts,
            extractors and features are used as they are; else what `_given.read` takes.
        labels: Labels of the images, where they lie apart.
        work: Where things are kept that are made.

    Attributes:
        file: An .npz of the images.
        train: An .npz of the training images: the data set's long-tailed ones, else `file` itself.
        counts: counts.csv.
        names: The classes' names; empty where the images have no labels.
        grouping: The groups that values are given for.

    Raises:
        LtdmError: The images cannot be read.
    """

    def __init__(self, path: Path, labels: Path | None, work: Path):
        self.ours = Path(path) if (Path(path) / "reference.npz").exists() else None
        self.grouping: dict[str, Any] = {"kinds": ["all", "class", "worst"]}
        if self.ours:
            if labels is not None:
                raise LtdmError(f"{path} knows its labels; leave {labels} out")
            self.file, self.counts = self.ours / "reference.npz", self.ours / "counts.csv"
            self.train = self.ours / "train.npz"
            self.folder = work / f"reference-{sha256(self.file)[:12]}"
            with reading(self.counts):
                self.names = pd.read_csv(self.counts, dtype=str)["name"].tolist()
            self.grouping["kinds"].insert(2, "thirds")
            return
        given = _given.read(path, labels)
        held = _counted(given.labels, path)
        self.names = given.names or numbered(len(held))
        self.folder = _kept(work / "reference", given, "reference.npz")
        self.file, self.counts = self.folder / "reference.npz", self.folder / "counts.csv"
        self.train = self.file
        table = {"class": range(len(held)), "name": self.names, "train": held}
        with writing(self.counts) as temporary:
            pd.DataFrame(table if held else {"train": [len(given.labels)]}).to_csv(
                temporary, index=False
            )

    def training_images(self) -> int:
        """Return how many images nearest neighbours are looked for among."""
        with reading(self.counts):
            return int(pd.read_csv(self.counts)["train"].sum())

    def prepared(self) -> tuple[Part, ...]:
        """Return the extractors that lie in a data folder of ours."""
        records = sorted((self.ours / "extractors").glob("*.json")) if self.ours else []
        found = [part("extractor", read_json(r)["extractor"], ("extractor",)) for r in records]
        return tuple(found)

    def features(self, extractor: Part) -> tuple[Path, Path]:
        """Return an extractor's weights, and the reference's features, made if they are not there.

        Raises:
            LtdmError: The extractor learns classes, and the reference has none.
        """
        home = self.ours if self.ours and extractor in self.prepared() else self.folder
        weights = home / f"extractors/{extractor.label}.safetensors"
        features = home / f"features/{extractor.label}.npz"
        if home == self.ours and weights.exists() and features.exists():
            return weights, features
        record = weights.with_suffix(".json")
        wanted = {"extractor": extractor.plain(), "code": stage_code("extractor", extractor)}
        made = read_json(record) if weights.exists() else {}
        if any(made.get(key) != value for key, value in wanted.items()):
            if extractor.module.PROBABILITIES == "classes" and not self.names:
                raise LtdmError(
                    f"{extractor.name} learns the reference's classes, and its images have no"
                    " labels; give --reference-labels, or take other features"
                )
            extractor_stage.run(extractor.plain(), places(extractor.options),
                                reference=self.file, weights=weights, record=record)  # fmt: skip
            features.unlink(missing_ok=True)
        if not features.exists():
            features_stage.run(images=self.file, weights=weights, features=features)
        return weights, features


def run(
    images: Path, reference: Reference, extractors: Sequence[Part], metrics: Sequence[Part],
    labels: Path | None, work: Path,
) -> tuple[pd.DataFrame, Path]:  # fmt: skip
    """Score a set of images; return the tidy rows and the file that holds them.

    Args:
        images: What `_given.read` takes.
        reference: What to compare with.
        extractors: The feature spaces.
        metrics: The metrics; each is given in the feature spaces that it reads.
        labels: Labels of the images, where they lie apart.
        work: Where features and rows are kept.

    Raises:
        LtdmError: The images cannot be read, or do not fit the reference, or nothing gives what a
            metric reads.
    """
    for metric in metrics:
        check_fed(metric, extractors)
        if looks_up(metric) and not _suits(metric, reference):
            raise LtdmError(
                f"{metric.name} looks for the {metric.options.neighbours} nearest training images,"
                f" but {reference.train} holds {reference.training_images()}; ask for fewer, such"
                f" as --metric '{{name: {metric.name}, neighbours: 10}}'"
            )
    given = _fitting(images, labels, reference)
    folder = _kept(work / Path(images).resolve().stem, given, "images.npz")
    files = {}
    for extractor in extractors:
        weights, real = reference.features(extractor)
        made = folder / f"features/{extractor.label}-{sha256(weights)[:12]}.npz"
        files[extractor.label] = real, made
        if not made.exists():
            features_stage.run(images=folder / "images.npz", weights=weights, features=made)
    where = {"images": str(images), "reference": str(reference.ours or reference.folder)}
    frames, against = [], folder / f"against-{reference.folder.name}"
    for metric in metrics:
        fed = {e.label: files[e.label] for e in extractors if reads(metric, e)}
        if looks_up(metric):
            fed = {PIXELS: _neighbours(metric, folder, reference)}
        table = against / f"{metric.label}.csv"
        metrics_stage.run(
            metric.plain(), reference.grouping, where, table=table, counts=reference.counts,
            real={space: real for space, (real, _) in fed.items()},
            fake={space: made for space, (_, made) in fed.items()},
            record=table.with_suffix(".json"),
        )  # fmt: skip
        frames.append(read_rows(table))
    rows = pd.concat(frames, ignore_index=True).drop(columns=metrics_stage.HOW)
    write_rows(rows, against / "metrics.csv")
    return rows, against / "metrics.csv"


def _fitting(images: Path, labels: Path | None, reference: Reference) -> _given.Given:
    """Read the images; their labels are left aside where the reference has none.

    Raises:
        LtdmError: They are of another shape than the reference's.
    """
    given = _given.read(images, labels, reference.names)
    (real,) = read_npz(reference.file, "images")
    if real.shape[1:] != given.images.shape[1:]:
        raise LtdmError(
            f"{images} holds images of shape {given.images.shape[1:]} (channels, height, width),"
            f" the reference {real.shape[1:]}; bring both to one shape by the same means"
        )
    if not reference.names and (given.labels >= 0).any():
        log.info("the reference has no labels, so those of %s are left aside", images)
        given = given._replace(labels=np.full_like(given.labels, -1))
    return given


def suiting(
    metrics: Sequence[Part], extractors: Sequence[Part], reference: Reference
) -> list[Part]:
    """Return the metrics that have what they read.

    That is what some extractor gives, or a training set that is known to be one.
    """
    known = bool(reference.ours) and reference.train.exists()
    return [
        metric for metric in metrics
        if any(reads(metric, extractor) for extractor in extractors)
        or (known and looks_up(metric) and _suits(metric, reference))
    ]  # fmt: skip


def _suits(metric: Part, reference: Reference) -> bool:
    """Whether a reference has as many training images as a metric looks for."""
    return bool(metric.options.neighbours <= reference.training_images())


def _neighbours(metric: Part, folder: Path, reference: Reference) -> tuple[Path, Path]:
    """Return what is nearest in the training set to the reference's images and to those given."""
    search = metric.module.search(metric.options)
    asked = "-".join(f"{key}-{value}" for key, value in search.items())
    name = f"neighbours/{sha256(reference.train)[:12]}-{asked}.npz"
    real, made = reference.folder / name, folder / name
    for file, images in ((real, reference.file), (made, folder / "images.npz")):
        if not file.exists():
            neighbours_stage.run(search, train=reference.train, images=images, neighbours=file,
                                 unseen=file == real)  # fmt: skip
    return real, made


def to_text(rows: pd.DataFrame) -> str:
    """Write the rows for a terminal, those of single classes left out."""
    shown = rows[~rows["group"].str.startswith("class-")].drop(columns=["images", "reference"])
    kept = [column for column in shown if set(shown[column].dropna()) - {""}]
    return shown[kept].to_string(index=False, na_rep="", float_format=lambda v: f"{v:.4g}")


def _counted(labels: np.ndarray, path: Path) -> list[int]:
    """Return the images of each class; nothing where there are no labels.

    Raises:
        LtdmError: A class has none.
    """
    if labels.max() < 0:
        return []
    if labels.max() >= len(labels) or 0 in np.bincount(labels):
        raise LtdmError(
            f"the labels of {path} must be 0 to C - 1 without a gap, but reach {labels.max()} in"
            f" {len(np.unique(labels))} classes"
        )
    return np.bincount(labels).tolist()


def _kept(name: Path, given: _given.Given, file: str) -> Path:
    """Keep images in a folder named by their digest; return it."""
    digest = hashlib.sha256(np.ascontiguousarray(given.images).data)
    digest.update(given.labels.data)
    folder = name.with_name(f"{name.name}-{digest.hexdigest()[:12]}")
    if not (folder / file).exists():
        about = np.array("{}")
        write_npz(folder / file, images=given.images, labels=given.labels, about=about)
    return folder
