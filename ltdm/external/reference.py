"""The real images that an image set of another project is compared with."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltdm.config.layout import path_in_dataset
from ltdm.data._base import default_class_names
from ltdm.external import images as image_sets
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import explain_read_errors, read_json, sha256, write_npz, write_text
from ltdm.plumbing.option_values import locations
from ltdm.plumbing.registry import Part, parse_part, stage_digest
from ltdm.plumbing.request import Request
from ltdm.reporting.rows import read_classes
from ltdm.stages import extractor as extractor_stage
from ltdm.stages import features as features_stage

MAX_PREFIX = 200  # bytes of a folder's name that are the user's; the name may have 255
REFERENCE, COUNTS = path_in_dataset("prepare.reference"), path_in_dataset("prepare.counts")


class Reference:
    """A prepared data set of ltdm, or any set of images.

    Args:
        path: A data folder, `results/<experiment>/data/<data set>`, whose classes, training counts,
            extractors and features are used; or a path that `images.read_images` can read.
        labels: An .npy with the labels of the images; not for a data folder.
        cache_dir: Folder for the files that are written.

    Attributes:
        prepared_folder: The data folder; None for a set of images.
        folder: The folder of the reference in `cache_dir`.
        file: An .npz of the images.
        train: An .npz of the training images: long-tailed ones of a data folder, else `file`.
        counts: The file counts.csv.
        names: The names of the classes; empty for images without labels.
        grouping: The groups of classes for which metrics are computed.
    """

    def __init__(self, path: Path, labels: Path | None, cache_dir: Path):
        self.prepared_folder = path if (path / REFERENCE).exists() else None
        self.grouping: dict[str, Any] = {"kinds": ["all", "class", "worst"]}
        if self.prepared_folder:
            if labels:
                raise LtdmError(f"{path} contains its labels; leave {labels} out")
            self.file, self.counts = path / REFERENCE, path / COUNTS
            self.train = path / path_in_dataset("prepare.train")
            self.folder = cache_dir / f"reference-{sha256(self.file)[:12]}"
            self.names = read_classes(self.counts)["name"].tolist()
            self.grouping["kinds"].insert(2, "thirds")
            return
        image_set = image_sets.read_images(path, labels)
        class_counts = _count_classes(image_set.labels, path)
        self.names = image_set.names or default_class_names(len(class_counts))
        self.folder = store_images(cache_dir / "reference", image_set, REFERENCE)
        self.file, self.counts = self.folder / REFERENCE, self.folder / COUNTS
        self.train = self.file
        table = {"class": range(len(class_counts)), "name": self.names, "train": class_counts}
        counts = pd.DataFrame(table if class_counts else {"train": [len(image_set.labels)]})
        write_text(self.counts, counts.to_csv(index=False))

    def count_training_images(self) -> int:
        """Return the number of training images, among which nearest neighbours are searched."""
        return int(read_classes(self.counts)["train"].sum())

    def prepared_extractors(self) -> tuple[Part, ...]:
        """Return the extractors that the data folder contains; none for a set of images."""
        if not self.prepared_folder:
            return ()
        records = sorted((self.prepared_folder / "extractors").glob("*.json"))
        parts = []
        for record in records:
            with explain_read_errors(record, "record of an extractor"):
                parts.append(parse_part("extractor", read_json(record)["extractor"], ()))
        return tuple(parts)

    def extract_features(self, extractor: Part) -> tuple[Path, Path]:
        """Return the files of an extractor's weights and of the reference's features.

        Those of the data folder are used if both are there; nothing is written to it. Otherwise
        they are in the reference's folder of the cache, where missing ones are written.

        Raises:
            LtdmError: The extractor is trained on labels, and the reference has none.
        """
        if self.prepared_folder and extractor in self.prepared_extractors():
            weights, features = _extractor_files(self.prepared_folder, extractor)
            if weights.exists() and features.exists():
                return weights, features
        weights, is_new = prepare_weights(extractor, self.folder, self.file, bool(self.names))
        features = _extractor_files(self.folder, extractor)[1]
        if is_new:
            features.unlink(missing_ok=True)
        if not features.exists():
            request = Request(code=stage_digest("features", extractor))
            features_stage.run(request, images=self.file, weights=weights, features=features)
        return weights, features


def prepare_weights(
    extractor: Part, folder: Path, images: Path, has_labels: bool
) -> tuple[Path, bool]:
    """Return the file of an extractor's weights in `folder`, and whether it was just written.

    An extractor that is trained is trained on `images`.

    Raises:
        LtdmError: It is trained on labels, and there are none.
    """
    weights, _ = _extractor_files(folder, extractor)
    record = weights.with_suffix(".json")
    expected = {"extractor": extractor.to_config(), "code": stage_digest("extractor", extractor)}
    if weights.exists() and expected.items() <= read_json(record).items():
        return weights, False
    if extractor.module.PROBABILITIES == "classes" and not has_labels:
        raise LtdmError(
            f"{extractor.name} learns the reference's classes, and its images have no"
            " labels; give images with labels, or choose another extractor"
        )
    request = Request(**expected, places=locations(extractor.options))
    extractor_stage.run(request, reference=images, weights=weights, record=record)
    return weights, True


def _extractor_files(folder: Path, extractor: Part) -> tuple[Path, Path]:
    """Return the paths of an extractor's weights and of the reference's features in a folder."""
    weights = path_in_dataset("extractor.weights", extractor=extractor.label)
    features = path_in_dataset("reference_features.features", extractor=extractor.label)
    return folder / weights, folder / features


def store_images(prefix: Path, image_set: image_sets.ImageSet, file: str) -> Path:
    """Write images to `file` in the folder `<prefix>-<digest>`, if missing; return the folder.

    The digest is that of images and labels. Of a long prefix its start is enough.
    """
    digest = hashlib.sha256(np.ascontiguousarray(image_set.images).data)
    digest.update(image_set.labels.data)
    start = os.fsdecode(os.fsencode(prefix.name)[:MAX_PREFIX])
    folder = prefix.with_name(f"{start}-{digest.hexdigest()[:12]}")
    if not (folder / file).exists():
        arrays = {"images": image_set.images, "labels": image_set.labels}
        write_npz(folder / file, **arrays, about=np.array("{}"))
    return folder


def _count_classes(labels: np.ndarray, path: Path) -> list[int]:
    """Return the images per class, none of which may be empty; an empty list without labels."""
    if labels.max() < 0:
        return []
    if labels.max() >= len(labels) or 0 in np.bincount(labels):
        raise LtdmError(
            f"the labels of {path} must be 0 to C - 1 without a gap, but reach {labels.max()} in"
            f" {len(np.unique(labels))} classes"
        )
    return np.bincount(labels).tolist()
