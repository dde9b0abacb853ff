"""Samples -> a picture of the first ones: rows are classes."""

from pathlib import Path

import numpy as np

from ltdm.files import read_npz, writing
from ltdm.reporting.pictures import sheet, to_png

COLUMNS = 10
MOST_ROWS = 100


def run(*, samples: Path, picture: Path) -> None:
    """Write `picture` (PNG): ten images of each class, at most a hundred classes."""
    images, labels = read_npz(samples, "images", "labels")
    classes = np.unique(labels)[:MOST_ROWS].tolist()
    with writing(picture) as temporary:
        to_png(sheet(images, labels, classes, COLUMNS)).save(temporary, format="png")
