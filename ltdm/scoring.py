"""Score images that others made, by the same stages as our own.

What is made lies in a folder of its own for each set of images, named by their digest: features are
extracted once for each set, and a reference's are there for all that are compared with it.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ltdm.data import _given
from ltdm.data._base import numbered
from ltdm.errors import LtdmError
from ltdm.files import read_json, read_npz, reading, sha256, write_npz, writing
from ltdm.metrics._base import reads
from ltdm.options import places
from ltdm.registry import Part, part, stage_code
from ltdm.stages import extractor as extractor_stage
from ltdm.stages import features as features_stage
from ltdm.stages import metrics as metrics_stage

WITHOUT_COUNTS = {"kinds": ["all", "class", "worst"]}
WITH_COUNTS = {"kinds": ["all", "class", "thirds", "worst"]}


class Reference:
    """What images are compared with: a prepared data set of ours, or any set of images.

    Args:
        path: A data folder, `results/<experiment>/data/<data set>`, whose classes, training counts,
            extractors and features are used as they are; else what `_given.read` takes.
        labels: Labels of the images, where they lie apart.
        work: Where things are kept that are made for other sets.
    """

    def __init__(self, path: Path, labels: Path | None, work: Path):
        self.ours = (Path(path) / "reference.npz").exists()
        if self.ours:
            self.folder = Path(path)
            with reading(self.folder / "counts.csv"):
                self.counts = pd.read_csv(self.folder / "counts.csv", keep_default_na=False)
            self.grouping: dict[str, Any] = WITH_COUNTS
            return
        given = _given.read(path, labels)
        held = np.bincount(given.labels[given.labels >= 0]).tolist() or [len(given.labels)]
        names = given.names or numbered(len(held))
        self.counts = pd.DataFrame({"class": range(len(held)), "name": names, "train": held})
        self.folder = _kept(work / "reference", given, "reference.npz")
        with writing(self.folder / "counts.csv") as temporary:
            self.counts.to_csv(temporary, index=False)
        self.grouping = WITHOUT_COUNTS

    def names(self) -> list[str]:
        """Return the classes' names."""
        return [str(name) for name in self.counts["name"]]

    def prepared(self) -> tuple[Part, ...]:
        """Return the extractors that lie in a data folder of ours."""
        records = sorted((self.folder / "extractors").glob("*.json")) if self.ours else []
        found = [part("extractor", read_json(r)["extractor"], ("extractor",)) for r in records]
        return tuple(found)

    def weights(self, extractor: Part) -> Path:
        """Return the weights of an extractor, made ready if they are not.

        Raises:
            LtdmError: A data folder of ours has others of that name.
        """
        weights = self.folder / f"extractors/{extractor.label}.safetensors"
        record = weights.with_suffix(".json")
        wanted = {"extractor": extractor.plain(), "code": stage_code("extractor", extractor)}
        made = read_json(record) if weights.exists() else {}
        if all(made.get(key) == value for key, value in wanted.items()):
            return weights
        if self.ours and made:
            raise LtdmError(
                f"{record} is of other options or code than {extractor}; leave --features out to"
                " use what is there, or run `snakemake` to make it anew"
            )
        extractor_stage.run(extractor.plain(), places(extractor.options), weights=weights,
                            reference=self.folder / "reference.npz", record=record)  # fmt: skip
        return weights


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
        LtdmError: The images cannot be read, or do not fit the reference.
    """
    given = _given.read(images, labels, reference.names())
    (real,) = read_npz(reference.folder / "reference.npz", "images")
    if real.shape[1:] != given.images.shape[1:]:
        raise LtdmError(
            f"{images} holds images of shape {given.images.shape[1:]} (channels, height, width),"
            f" the reference {real.shape[1:]}; bring both to one shape by the same means"
        )
    folder = _kept(work / Path(images).stem, given, "images.npz")
    frames = []
    features = {e.label: _features(reference, e, folder) for e in extractors}
    for metric in metrics:
        fed = [e.label for e in extractors if reads(metric, e)]
        table = folder / f"metrics/{metric.label}.csv"
        real_files, fake_files = ({label: features[label][i] for label in fed} for i in (0, 1))
        metrics_stage.run(
            metric.plain(), reference.grouping, {"images": str(images)}, table=table,
            counts=reference.folder / "counts.csv", real=real_files, fake=fake_files,
            record=table.with_suffix(".json"),
        )  # fmt: skip
        frames.append(pd.read_csv(table, keep_default_na=True))
    rows = pd.concat(frames, ignore_index=True).drop(columns=metrics_stage.HOW)
    with writing(folder / "metrics.csv") as temporary:
        rows.to_csv(temporary, index=False, float_format=metrics_stage.DIGITS)
    return rows, folder / "metrics.csv"


def suiting(metrics: Sequence[Part], extractors: Sequence[Part]) -> list[Part]:
    """Return the metrics that some extractor gives what they read."""
    return [m for m in metrics if any(reads(m, e) for e in extractors)]


def to_text(rows: pd.DataFrame) -> str:
    """Write the rows for a terminal, those of single classes left out."""
    shown = rows[~rows["group"].str.startswith("class-")]
    columns = [
        "features",
        "metric",
        "options",
        "group",
        "value",
        "error",
        "n_real",
        "n_fake",
        "note",
    ]
    kept = [c for c in columns if shown[c].notna().any()]
    return shown[kept].to_string(index=False, na_rep="", float_format=lambda v: f"{v:.4g}")


def _features(reference: Reference, extractor: Part, folder: Path) -> tuple[Path, Path]:
    """Return the features of the reference and of the images, made where they are not there."""
    weights = reference.weights(extractor)
    name = f"{extractor.label}-{sha256(weights)[:12]}"
    real = reference.folder / f"features/{extractor.label if reference.ours else name}.npz"
    fake = folder / f"features/{name}.npz"
    for source, features in ((reference.folder / "reference.npz", real),
                             (folder / "images.npz", fake)):  # fmt: skip
        if not features.exists():
            features_stage.run(images=source, weights=weights, features=features)
    return real, fake


def _kept(name: Path, given: _given.Given, file: str) -> Path:
    """Keep images in a folder named by their digest; return it."""
    digest = hashlib.sha256(np.ascontiguousarray(given.images).data)
    digest.update(given.labels.data)
    folder = name.with_name(f"{name.name}-{digest.hexdigest()[:12]}")
    if not (folder / file).exists():
        about = np.array("{}")
        write_npz(folder / file, images=given.images, labels=given.labels, about=about)
    return folder
