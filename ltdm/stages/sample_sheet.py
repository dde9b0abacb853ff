"""Samples -> an image of the first ones with a row per class; points become a scatter plot."""

from pathlib import Path

import numpy as np

from ltdm.core.image_files import read_image_file
from ltdm.data._base import default_class_names
from ltdm.plumbing.files import atomic_write
from ltdm.plumbing.request import Request
from ltdm.reporting import points, style
from ltdm.reporting.pictures import image_grid, to_png

IMAGES_PER_CLASS = 10
MAX_CLASSES = 100


def run(request: Request, *, samples: Path, picture: Path) -> None:
    """Write `picture` (PNG): the first ten images of each class, for at most a hundred classes."""
    images, labels, *_ = read_image_file(samples)
    if images.dtype != np.uint8:
        style.use()
        names = default_class_names(int(labels.max()) + 1)
        style.save(points.plot_points({"samples": (images, labels)}, names), picture)
        return
    classes = np.unique(labels)[:MAX_CLASSES].tolist()
    with atomic_write(picture) as temporary:
        to_png(image_grid(images, labels, classes, IMAGES_PER_CLASS)).save(temporary, format="png")
