"""Images -> a picture of some, a row per class; points become a scatter plot."""

import json
from pathlib import Path

import numpy as np
from PIL.PngImagePlugin import PngInfo

from ltdm.core.image_files import read_image_file
from ltdm.plumbing.files import atomic_write
from ltdm.plumbing.request import Request
from ltdm.reporting.pictures import ROWS, head_to_tail, image_grid, to_png
from ltdm.reporting.rows import read_classes

IMAGES_PER_CLASS = 10
MAX_CLASSES = 100


def run(request: Request, *, images: Path, counts: Path, picture: Path) -> None:
    """Write `picture` (PNG): the first ten images of each class, most frequent class first.

    Of more than a hundred classes, a hundred evenly spaced ones are shown. `counts` is counts.csv.
    The PNG's text ROWS names the classes of the rows, with their training images, as a JSON list.

    `request` has `shuffled`: whether ten random images are taken in place of the first, since files
    of real images often have those of one writer or scene in a row.
    """
    pixels, labels, *_ = read_image_file(images)
    table = read_classes(counts)
    if pixels.dtype != np.uint8:
        from ltdm.reporting import points, style  # sheets of images need no Matplotlib

        style.use()
        plot = points.plot_points({"samples": (pixels, labels)}, table["name"].tolist())
        style.save(plot, picture)
        return
    if request["shuffled"]:
        order = np.random.default_rng(0).permutation(len(labels))
        pixels, labels = pixels[order], labels[order]
    table = head_to_tail(table, MAX_CLASSES)
    classes = table["class"].tolist()
    rows = [f"{name} ({n:,})" for name, n in zip(table["name"], table["train"], strict=True)]
    if (labels < 0).all():
        classes, rows = [-1], ["no labels"]
    text = PngInfo()
    text.add_itxt(ROWS, json.dumps(rows))
    picture_of_rows = to_png(image_grid(pixels, labels, classes, IMAGES_PER_CLASS))
    with atomic_write(picture) as temporary:
        picture_of_rows.save(temporary, format="png", pnginfo=text)
