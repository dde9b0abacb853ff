"""Samples -> a picture of the first ones: rows are classes. Points are scattered."""

from pathlib import Path

import numpy as np

from ltdm.data._base import numbered
from ltdm.plumbing.files import read_npz, writing
from ltdm.plumbing.request import Request
from ltdm.reporting import points, style
from ltdm.reporting.pictures import sheet, to_png

COLUMNS = 10
MOST_ROWS = 100


def run(request: Request, *, samples: Path, picture: Path) -> None:
    """Write `picture` (PNG): ten images of each class, at most a hundred classes."""
    images, labels = read_npz(samples, "images", "labels")
    if images.dtype != np.uint8:
        style.use()
        names = numbered(int(labels.max()) + 1)
        style.save(points.scatter({"samples": (images, labels)}, names), picture)
        return
    classes = np.unique(labels)[:MOST_ROWS].tolist()
    with writing(picture) as temporary:
        to_png(sheet(images, labels, classes, COLUMNS)).save(temporary, format="png")
