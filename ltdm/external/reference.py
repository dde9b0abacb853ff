"""What images that others made are compared with."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltdm.config.layout import path_in_dataset
from ltdm.data._base import numbered
from ltdm.external import images
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json, reading, sha256, write_npz, write_text
from ltdm.plumbing.option_values import places
from ltdm.plumbing.registry import Part, part, stage_code
from ltdm.plumbing.request import Request
from ltdm.stages import extractor as extractor_stage
from ltdm.stages import features as features_stage

REFERENCE, COUNTS = path_in_dataset("prepare.reference"), path_in_dataset("prepare.counts")


class Reference:
    """What images are compared with: a prepared data set of ours, or any set of images.

    Args:
        path: A data folder, `results/<experiment>/data/<data set>`, whose classes, training counts,
            extractors and features are used as they are; else what `images.read` takes.
        labels: Labels of the images, where they lie apart.
        cache_dir: Where things are kept that are made.

    Attributes:
        ours: The data folder, if it is one.
        file: An .npz of the images.
        train: An .npz of the training images: the data set's long-tailed ones, else `file` itself.
        counts: counts.csv.
        names: The classes' names; empty where the images have no labels.
        grouping: The groups that values are given for.
    """

    def __init__(self, path: Path, labels: Path | None, cache_dir: Path):
        self.ours = path if (path / REFERENCE).exists() else None
        self.grouping: dict[str, Any] = {"kinds": ["all", "class", "worst"]}
        if self.ours:
            if labels:
                raise LtdmError(f"{path} knows its labels; leave {labels} out")
            self.file, self.counts = self.ours / REFERENCE, self.ours / COUNTS
            self.train = self.ours / path_in_dataset("prepare.train")
            self.folder = cache_dir / f"reference-{sha256(self.file)[:12]}"
            with reading(self.counts):
                self.names = pd.read_csv(self.counts, dtype=str)["name"].tolist()
            self.grouping["kinds"].insert(2, "thirds")
            return
        given = images.read(path, labels)
        held = _counted(given.labels, path)
        self.names = given.names or numbered(len(held))
        self.folder = kept(cache_dir / "reference", given, REFERENCE)
        self.file, self.counts = self.folder / REFERENCE, self.folder / COUNTS
        self.train = self.file
        table = {"class": range(len(held)), "name": self.names, "train": held}
        counts = pd.DataFrame(table if held else {"train": [len(given.labels)]})
        write_text(self.counts, counts.to_csv(index=False))

    def training_images(self) -> int:
        """Return how many images nearest neighbours are looked for among."""
        with reading(self.counts):
            return int(pd.read_csv(self.counts)["train"].sum())

    def prepared(self) -> tuple[Part, ...]:
        """Return the extractors that lie in a data folder of ours."""
        records = sorted((self.ours / "extractors").glob("*.json")) if self.ours else []
        return tuple(part("extractor", read_json(r)["extractor"], ("extractor",)) for r in records)

    def features(self, extractor: Part) -> tuple[Path, Path]:
        """Return an extractor's weights and the reference's features, made if they are not there.

        One that learns classes is refused where the reference has none.
        """
        home = self.ours if self.ours and extractor in self.prepared() else self.folder
        weights = home / path_in_dataset("extractor.weights", extractor=extractor.label)
        features = home / path_in_dataset("reference_features.features", extractor=extractor.label)
        if home == self.ours and weights.exists() and features.exists():
            return weights, features
        record = weights.with_suffix(".json")
        wanted = {"extractor": extractor.plain(), "code": stage_code("extractor", extractor)}
        if not weights.exists() or not wanted.items() <= read_json(record).items():
            if extractor.module.PROBABILITIES == "classes" and not self.names:
                raise LtdmError(
                    f"{extractor.name} learns the reference's classes, and its images have no"
                    " labels; give --reference-labels, or take other features"
                )
            request = Request(**wanted, places=places(extractor.options))
            extractor_stage.run(request, reference=self.file, weights=weights, record=record)
            features.unlink(missing_ok=True)
        if not features.exists():
            request = Request(code=stage_code("features", extractor))
            features_stage.run(request, images=self.file, weights=weights, features=features)
        return weights, features


def kept(name: Path, given: images.Given, file: str) -> Path:
    """Keep images in a folder named by their digest; return it."""
    digest = hashlib.sha256(np.ascontiguousarray(given.images).data)
    digest.update(given.labels.data)
    folder = name.with_name(f"{name.name}-{digest.hexdigest()[:12]}")
    if not (folder / file).exists():
        write_npz(folder / file, images=given.images, labels=given.labels, about=np.array("{}"))
    return folder


def _counted(labels: np.ndarray, path: Path) -> list[int]:
    """Return the images of each class, of which none may be empty; nothing without labels."""
    if labels.max() < 0:
        return []
    if labels.max() >= len(labels) or 0 in np.bincount(labels):
        raise LtdmError(
            f"the labels of {path} must be 0 to C - 1 without a gap, but reach {labels.max()} in"
            f" {len(np.unique(labels))} classes"
        )
    return np.bincount(labels).tolist()
