import csv
import io

import numpy as np
import pandas as pd
import pytest

from ltdm.files import write_npz
from ltdm.reporting.pictures import sheet
from ltdm.reporting.tables import main_table, to_csv, to_latex, to_markdown
from ltdm.stages import figures


def tidy(values, dataset="d", sample_set="main", guidance=0.5, note=""):
    """Rows of two metrics: `values` by run, one list entry a seed."""
    rows = []
    for run, seeds in values.items():
        for seed, value in enumerate(seeds):
            for metric, group, v in (("frechet", "all", value), ("recall", "tail", value / 100)):
                rows.append({"dataset": dataset, "run": run, "seed": seed, "metric": metric,
                             "sample_set": sample_set, "group": group, "value": v,
                             "sampler": "ddim", "guidance": guidance, "weights": "ema",
                             "note": note if metric == "recall" else ""})  # fmt: skip
    return pd.DataFrame(rows)


VALUES = {"c": [20.0, 22.0], "b_run": [10.0, 14.0], "a": [9.0, 9.0]}
TABLE = main_table(tidy(VALUES), ["frechet", "recall@tail"])


def test_markdown():
    lines = to_markdown(TABLE).splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["run", "frechet ↓", "recall (tail) ↑"]
    assert cells[2:] == [
        ["c", "21.00 ± 1.41", "**0.210 ± 0.014**"],
        ["b_run", "12.00 ± 2.83", "0.120 ± 0.028"],
        ["a", "**9.00 ± 0.00**", "0.090 ± 0.000"],
    ]
    assert len({len(line) for line in lines}) == 1, "columns stand in line"


def test_latex():
    text = to_latex(TABLE)
    assert r"run & frechet $\downarrow$ & recall (tail) $\uparrow$ \\" in text
    assert r"b\_run & 12.00 $\pm$ 2.83 & 0.120 $\pm$ 0.028 \\" in text
    assert r"a & \textbf{9.00 $\pm$ 0.00} & 0.090 $\pm$ 0.000 \\" in text


def test_csv_holds_numbers():
    rows = list(csv.DictReader(io.StringIO(to_csv(TABLE))))
    assert float(rows[1]["frechet ↓"]) == 12
    assert float(rows[1]["frechet ↓ sd"]) == pytest.approx(np.std([10, 14], ddof=1), rel=1e-5)


def test_one_seed_has_no_deviation_and_one_run_no_best():
    table = main_table(tidy({"a": [3.0]}), ["frechet"])
    assert to_markdown(table).splitlines()[2].split("|")[2].strip() == "3.00"


def test_each_data_set_has_its_best_and_is_named():
    both = pd.concat([tidy(VALUES), tidy({"a": [5.0], "c": [1.0]}, dataset="e")])
    table = main_table(both, ["frechet"])
    assert table.index.names == ["dataset", "run"]
    assert [i for i, c in table["frechet ↓"].items() if c.best] == [("d", "a"), ("e", "c")]
    assert [i[1] for i in table.index] == ["c", "b_run", "a", "a", "c"]


def test_a_missing_value_is_a_dash():
    table = main_table(tidy({"a": [np.nan], "b": [1.0]}), ["frechet"])
    assert "| -" in to_markdown(table).splitlines()[2].replace("  ", "")


@pytest.mark.parametrize("channels", [1, 3])
def test_sheet_rows_are_classes(channels):
    labels = np.array([0, 1, 2, 0, 1, 0])
    images = np.broadcast_to(
        (40 * labels + 10 * np.arange(6)).astype(np.uint8)[:, None, None, None],
        (6, channels, 16, 16),
    )
    picture = sheet(images, labels, [1, 0], columns=2)
    assert picture.shape[:2] == (2 * 34 - 2, 2 * 34 - 2)
    grey = picture if channels == 1 else picture[..., 0]
    assert grey[0, 0] == images[1, 0, 0, 0]
    assert grey[0, 34] == images[4, 0, 0, 0]
    assert grey[34, 0] == images[0, 0, 0, 0]
    assert grey[0, 33] == 255, "a white line between images"


def test_what_differs_between_rows_is_shown():
    both = pd.concat([tidy({"a": [1.0]}), tidy({"b": [2.0]}, guidance=1.5)])
    table = main_table(both, ["frechet"])
    assert table.index.names == ["run", "guidance"]
    assert [i[1] for i in table.index] == [0.5, 1.5]


def test_values_from_few_images_are_marked_and_explained():
    small = main_table(tidy(VALUES, note="class-3, small n"), ["recall@tail"])
    assert to_markdown(small).count("\u2020") == 3 + 1
    assert to_latex(small).count(r"$^\dagger$") == 3 + 1
    assert r"% $^\dagger$ from few images" in to_latex(small), "said in a comment"
    assert "\u2020" not in to_markdown(TABLE)
    assert "%" not in to_latex(TABLE)


def test_a_column_that_a_data_set_lacks_is_a_dash():
    rows = pd.concat(
        [tidy({"a": [1.0]}), tidy({"a": [1.0]}, dataset="e").query("metric != 'recall'")]
    )
    table = main_table(rows, ["recall@tail"])
    assert [c.text() for c in table["recall (tail) \u2191"]] == ["0.010", "-"]


def test_figures_show_one_sample_set_and_survive_a_lack_of_classes(tmp_path):
    counts = pd.DataFrame(
        {"class": [0, 1, 2], "name": [*"abc"], "available": [9, 9, 9], "train": [9, 3, 1]}
    )
    rows = tidy({"a": [1.0, 2.0], "b": [3.0, 4.0]}).assign(features="pixels", dataset="d")
    by_class = pd.concat([rows.assign(group=f"class-{c}") for c in range(3)])
    other = by_class.assign(sample_set="other", value=1e6)
    images = np.zeros((3, 1, 8, 8), np.uint8)
    write_npz(tmp_path / "images.npz", images=images, labels=np.arange(3))
    counts.to_csv(tmp_path / "counts.csv", index=False)
    history = pd.DataFrame({"update": [1, 2], "denoise": [1.0, 0.5]})
    history.to_csv(tmp_path / "history.csv", index=False)
    drawn = []
    for tidied in (pd.concat([by_class, other]), by_class, rows):
        tidied.to_csv(tmp_path / "metrics.csv", index=False)
        picture = tmp_path / f"{len(drawn)}.svg"
        figures.run("d", "frechet", "pixels", "main", counts=tmp_path / "counts.csv",
                    tidy=tmp_path / "metrics.csv", reference=tmp_path / "images.npz",
                    histories={("a", 0): tmp_path / "history.csv"},
                    samples={"a": tmp_path / "images.npz"},
                    pictures={"per_class": picture, "counts": tmp_path / "counts.png"})  # fmt: skip
        drawn.append(picture.read_bytes())
    assert drawn[0] == drawn[1], "the other sample set is another figure"
    assert drawn[2] != drawn[1]
