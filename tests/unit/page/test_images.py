"""Sheets of samples inside the page."""

import numpy as np
import pandas as pd
from PIL import Image

from ltdm.page.images import MAX_ROWS, read_sheet
from tests.helpers.made_up_results import draw_sheet


def test_a_sheet_of_many_classes_shows_evenly_spaced_rows(tmp_path):
    classes = 45
    table = {"class": range(classes), "name": [f"c{k}" for k in range(classes)]}
    table |= {"available": 9, "train": [3 * k + 1 for k in range(classes)]}
    pd.DataFrame(table).to_csv(tmp_path / "counts.csv", index=False)
    labels = np.arange(classes).repeat(2)
    images = np.broadcast_to((labels * 5).astype(np.uint8)[:, None, None, None], (90, 3, 8, 8))
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    draw_sheet(tmp_path / "images.npz", tmp_path / "counts.csv", tmp_path / "sheet.png")
    sheet = read_sheet(tmp_path / "sheet.png")
    assert len(sheet.rows) == MAX_ROWS
    assert (sheet.rows[0], sheet.rows[-1]) == ("c44 (133)", "c0 (1)")
    with Image.open(tmp_path / "sheet.png") as picture:
        height, width = picture.height, picture.width
    row = (height + 2) // classes
    assert (sheet.width, sheet.height) == (width, MAX_ROWS * row - 2)


def test_large_images_are_shrunk(tmp_path):
    table = pd.DataFrame({"class": [0, 1], "name": ["a", "b"], "available": 9, "train": [5, 2]})
    table.to_csv(tmp_path / "counts.csv", index=False)
    images, labels = np.zeros((4, 3, 256, 256), np.uint8), np.array([0, 0, 1, 1])
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    draw_sheet(tmp_path / "images.npz", tmp_path / "counts.csv", tmp_path / "sheet.png")
    sheet = read_sheet(tmp_path / "sheet.png")
    assert (sheet.height, sheet.rows) == (131, ["a (5)", "b (2)"])


def test_images_without_labels_fill_one_row(tmp_path):
    table = pd.DataFrame({"class": [0, 1], "name": ["a", "b"], "available": 9, "train": [5, 2]})
    table.to_csv(tmp_path / "counts.csv", index=False)
    images, labels = np.zeros((12, 1, 8, 8), np.uint8), np.full(12, -1)
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    draw_sheet(tmp_path / "images.npz", tmp_path / "counts.csv", tmp_path / "sheet.png")
    assert read_sheet(tmp_path / "sheet.png").rows == ["no labels"]
