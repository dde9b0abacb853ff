"""Figures: grids of images, and the values by class."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import write_npz
from ltdm.reporting import figures, frames, points, style
from ltdm.reporting.frames import mean_and_band, per_class_frame
from ltdm.reporting.pictures import image_grid
from ltdm.reporting.samples import plot_samples
from ltdm.stages.figures import _first_images
from tests.helpers.figure_files import COUNTS, draw
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
    unlabelled = _first_images(tmp_path / "images.npz")
    assert len(unlabelled[0]) == 24, "not only as many as a row has"
    (axes,) = plot_samples({"some": unlabelled}, table).axes
    assert axes.get_title() == "some, no labels"
    assert {*np.unique(axes.images[0].get_array())} == {*range(1, 17), 255}, "two rows of eight"
    (axes,) = points.plot_points({"some": (np.ones((3, 2, 1, 1)), np.full(3, -1))}, ["a"]).axes
    assert [len(dots.get_offsets()) for dots in axes.collections] == [0, 3]


def class_rows(values):
    """Rows of a metric over all classes and by class; by run, one list entry per seed."""
    rows = tidy(values).assign(extractor="pixels")
    blocks = [rows.assign(group=f"class-{c}", value=rows["value"] + c) for c in range(3)]
    return pd.concat([rows, *(block.query("metric == 'frechet'") for block in blocks)])


def test_figures_show_one_sample_set_and_may_lack_values_by_class(tmp_path):
    rows = class_rows({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    other = rows.assign(sample_set="other", value=1e6)
    tables = pd.concat([rows, other]), rows, rows[~rows["group"].str.startswith("class-")]
    files = []
    for number, table in enumerate(tables):
        drawn = draw(tmp_path / str(number), table, "ab", (0, 1))
        files.append({name: path.read_bytes() for name, path in drawn.items()})
    assert files[0] == files[1], "the other sample set is not shown"
    changed = {name for name, content in files[2].items() if content != files[1][name]}
    assert changed == {f"per_class_{form}" for form in ("pdf", "png", "csv")}
    header = "run,class,name,train,value,low,high,baseline,metric\n"
    assert files[2]["per_class_csv"].decode() == header


def test_every_figure_has_its_numbers(tmp_path):
    files = draw(tmp_path, class_rows({"a": [1.0, 2.0], "b": [3.0, 5.0]}), "ab", (0, 1))
    counts, per_class, training = (
        pd.read_csv(files[f"{figure}_csv"]) for figure in ("counts", "per_class", "training")
    )
    assert list(counts) == ["class", "name", "train", "available"]
    assert counts["train"].tolist() == [3, 9, 1], "in the order of counts.csv"
    assert per_class["run"].tolist() == [*"aaabbb"]
    assert per_class["class"].tolist() == [1, 0, 2] * 2, "the most frequent first"
    assert per_class["name"].tolist() == [*"bac"] * 2
    assert per_class["value"].tolist() == [2.5, 1.5, 3.5, 5, 4, 6]
    band = np.sqrt(0.5)
    assert per_class["low"][0] == pytest.approx(2.5 - band)
    assert per_class["high"][3] == pytest.approx(5 + 2 * band)
    assert per_class["baseline"].isna().all()
    assert {*per_class["metric"]} == {"frechet"}
    assert list(training) == ["run", "step", "value", "low", "high"]
    assert training.query("run == 'b'").to_numpy().tolist() == [
        ["b", 5, 1.0, 1.0, 1.0],
        ["b", 10, 0.5, 0.5, 0.5],
    ]


def test_a_band_is_the_standard_error_of_one_seed():
    rows = tidy({"a": [1.0], "b": [2.0]}).query("metric == 'frechet'")
    rows["error"] = [0.25, np.nan]
    frame = mean_and_band(rows, ["run"])
    assert frame.to_numpy().tolist() == [["a", 1.0, 0.75, 1.25], ["b", 2.0, 2.0, 2.0]]


def test_a_run_looks_the_same_in_all_figures_and_unlike_the_others():
    looks = style.line_looks([f"run {k}" for k in range(50)])
    assert len({tuple(look.values()) for look in looks.values()}) == 50
    rows = class_rows({"run 3": [1.0], "run 1": [2.0]})
    counts = pd.DataFrame(COUNTS)
    figure = figures.plot_per_class(per_class_frame(rows, counts, "frechet"), "d", looks)
    line, _ = figure.axes[0].get_lines()
    assert line.get_color() == looks["run 3"]["color"]


@pytest.mark.parametrize("length", [3, 28])
@pytest.mark.parametrize("number", [1, 15])
def test_a_legend_is_below_the_axes_and_within_the_figure(length, number):
    style.use()
    runs = [f"{k:02}{'x' * length}" for k in range(number)]
    rows = class_rows({run: [1.0] for run in runs})
    frame = per_class_frame(rows, pd.DataFrame(COUNTS), "frechet")
    figure = figures.plot_per_class(frame, "d", style.line_looks(runs))
    figure.draw_without_rendering()
    (axes,), (legend,) = figure.axes, figure.legends
    shown, whole = legend.get_window_extent(), figure.bbox
    assert len(legend.get_texts()) == number
    assert shown.y1 <= axes.get_tightbbox().y0
    assert min(shown.x0, shown.y0) >= 0
    assert shown.x1 <= whole.x1
    assert axes.get_window_extent().height > 350, "more than 1.2 inches for the data"
    assert figure.get_size_inches()[0] == style.ONE_COLUMN


def test_pdf_files_have_truetype_fonts_and_no_date(tmp_path):
    style.use()
    frame = frames.counts_frame(pd.DataFrame(COUNTS))
    paths = [tmp_path / name for name in ("a.pdf", "b.pdf")]
    for path in paths:
        style.save(figures.plot_class_counts(frame, "d"), path)
    content = paths[0].read_bytes()
    assert content == paths[1].read_bytes()
    assert b"/CreationDate" not in content
    assert b"/Type3" not in content
    assert b"/FontFile2" in content


@pytest.mark.parametrize(("file", "column"), [("counts", "available"), ("history", "denoise")])
def test_a_table_without_a_column_is_named(file, column, tmp_path):
    rows = class_rows({"a": [1.0]})
    draw(tmp_path, rows, "a")
    path = tmp_path / ("counts.csv" if file == "counts" else "a-0/history.csv")
    spoilt = pd.read_csv(path).drop(columns=column)
    with pytest.raises(LtdmError, match=rf"{path.name} is damaged"):
        draw(tmp_path, rows, "a", tables={path: spoilt})


def test_bars_and_clouds_have_the_palette_too():
    style.use()
    figure = figures.plot_class_counts(frames.counts_frame(pd.DataFrame(COUNTS)), "d")
    assert to_hex(figure.axes[0].containers[1][0].get_facecolor()) == style.COLOURS[0]
    cloud = np.ones((2, 2, 1, 1)), np.arange(2)
    (axes,) = points.plot_points({"some": cloud}, ["a", "b"]).axes
    shown = [to_hex(dots.get_facecolor()[0]) for dots in axes.collections[:2]]
    assert shown == style.COLOURS[:2]
