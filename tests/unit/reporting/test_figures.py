"""Figures: grids of images, and the values by class."""

import numpy as np
import pandas as pd
import pytest

from ltdm.plumbing.files import write_npz
from ltdm.reporting import points
from ltdm.reporting.pictures import image_grid
from ltdm.reporting.samples import plot_samples
from ltdm.stages import figures
from tests.helpers.tidy_rows import tidy


@pytest.mark.parametrize("channels", [1, 3])
def test_rows_of_an_image_grid_are_classes(channels):
    labels = np.array([0, 1, 2, 0, 1, 0])
    images = np.broadcast_to(
        (40 * labels + 10 * np.arange(6)).astype(np.uint8)[:, None, None, None],
        (6, channels, 16, 16),
    )
    picture = image_grid(images, labels, [1, 0], columns=2)
    assert picture.shape[:2] == (2 * 34 - 2, 2 * 34 - 2)
    grey = picture if channels == 1 else picture[..., 0]
    assert grey[0, 0] == images[1, 0, 0, 0]
    assert grey[0, 34] == images[4, 0, 0, 0]
    assert grey[34, 0] == images[0, 0, 0, 0]
    assert grey[0, 33] == 255, "a white line between images"


def test_images_without_labels_fill_the_sheet_and_points_without_labels_are_grey(tmp_path):
    table = pd.DataFrame({"class": [0, 1], "name": ["a", "b"], "train": [2, 1]})
    images, labels = np.arange(1, 25, dtype=np.uint8)[:, None, None, None], np.full(24, -1)
    write_npz(tmp_path / "images.npz", images=images.repeat(8, 2).repeat(8, 3), labels=labels)
    unlabelled = figures._first_images(tmp_path / "images.npz")
    assert len(unlabelled[0]) == 24, "not only as many as a row has"
    (axes,) = plot_samples({"some": unlabelled}, table).axes
    assert axes.get_title() == "some, no labels"
    assert {*np.unique(axes.images[0].get_array())} == {*range(1, 17), 255}, "two rows of eight"
    (axes,) = points.plot_points({"some": (np.ones((3, 2, 1, 1)), np.full(3, -1))}, ["a"]).axes
    assert [len(dots.get_offsets()) for dots in axes.collections] == [0, 3]


def test_figures_show_one_sample_set_and_may_lack_values_by_class(tmp_path):
    counts = pd.DataFrame(
        {"class": [0, 1, 2], "name": [*"abc"], "available": [9, 9, 9], "train": [9, 3, 1]}
    )
    rows = tidy({"a": [1.0, 2.0], "b": [3.0, 4.0]}).assign(extractor="pixels", dataset="d")
    class_blocks = pd.concat([rows.assign(group=f"class-{c}") for c in range(3)])
    other = class_blocks.assign(sample_set="other", value=1e6)
    images = np.zeros((3, 1, 8, 8), np.uint8)
    write_npz(tmp_path / "images.npz", images=images, labels=np.arange(3))
    counts.to_csv(tmp_path / "counts.csv", index=False)
    history = pd.DataFrame({"step": [1, 2], "denoise": [1.0, 0.5]})
    history.to_csv(tmp_path / "history.csv", index=False)
    files = []
    for table in (pd.concat([class_blocks, other]), class_blocks, rows):
        table.to_csv(tmp_path / "metrics.csv", index=False)
        picture = tmp_path / f"{len(files)}.svg"
        request = {"metric": "frechet", "extractor": "pixels", "sample_set": "main"}
        request |= {"runs": ["a"], "seeds": [0], "code": "this", "where": {"dataset": "d"}}
        figures.run(
            request,
            counts=tmp_path / "counts.csv",
            reference=tmp_path / "images.npz",
            tidy=tmp_path / "metrics.csv",
            histories=[tmp_path / "history.csv"],
            samples=[tmp_path / "images.npz"],
            per_class_svg=picture,
            counts_png=tmp_path / "counts.png",
        )
        files.append(picture.read_bytes())
    assert files[0] == files[1], "the other sample set is not shown"
    assert files[2] != files[1]
