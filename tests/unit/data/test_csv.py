"""The source `csv`: images named by a table with a column of classes."""

import numpy as np
import pytest

from ltdm.data import csv as table
from ltdm.data import list as listed
from ltdm.plumbing.errors import LtdmError, OptionError
from tests.unit.data.test_data import load_and_check
from tests.unit.data.test_pictures import picture

ROWS = 'file,age,hair\nimg/1.png,30,Grey\n"img/a, b.png",41,Black Hair\nimg/3.png,7,Grey\n'
COLUMNS = {"path_column": "file", "label_column": "hair"}


@pytest.fixture
def root(tmp_path):
    for i, name in enumerate(("1", "a, b", "3")):
        picture(tmp_path / f"img/{name}.png", seed=i)
    (tmp_path / "train.csv").write_text(ROWS)
    (tmp_path / "test.csv").write_text("file,hair\nimg/3.png,Black Hair\nimg/1.png,Grey\n")
    return tmp_path


def options(home, **others):
    return table.Options(path=str(home / "train.csv"), resolution=8, **{**COLUMNS, **others})


def test_classes_are_the_texts_of_the_column(root):
    own = options(root, test_path=str(root / "test.csv"))
    info, loaded = table.describe(own), load_and_check(table, own)
    assert (info.names, info.class_counts) == (["Black Hair", "Grey"], [1, 2])
    assert loaded.labels.tolist() == [1, 0, 1]
    assert table.load(own, "test").labels.tolist() == [0, 1]
    (root / "list.txt").write_text("img/1.png 1\nimg/a, b.png 0\nimg/3.png 1\n")
    same = listed.load(listed.Options(path=str(root / "list.txt"), resolution=8), "train")
    np.testing.assert_array_equal(loaded.images, same.images)


def test_whole_numbers_are_in_the_order_of_their_values(root):
    text = "file,hair\nimg/1.png,10\nimg/a b.png,9\nimg/3.png,9\n".replace("a b", '"a, b"')
    (root / "train.csv").write_text(text.replace('img/"a, b".png', '"img/a, b.png"'))
    assert table.describe(options(root)).names == ["9", "10"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROWS.replace("hair", "hat"), "has 0 columns 'hair' among file, age, hat"),
        (ROWS.replace("30,Grey", "30,"), "line 2 has no path or no class"),
        (ROWS.replace("img/3.png", " "), "line 4 has no path or no class"),
        ("file,hair\n", "names no image"),
        ("", "has 0 columns 'file' among nothing"),
        (ROWS.replace("age", "hair"), "has 2 columns 'hair'"),
        (ROWS.replace("30,Grey", "30,Grey,"), "line 2 has 4 cells, and its header 3"),
        (ROWS.replace("30,Grey", "Grey"), "line 2 has 2 cells, and its header 3"),
        (ROWS.replace("img/3", "img/4"), "1 of 3 files of the list are not below"),
    ],
)
def test_a_bad_table_is_refused_in_one_sentence(root, text, message):
    (root / "train.csv").write_text(text)
    with pytest.raises(LtdmError) as refused:
        table.describe(options(root))
    assert message in str(refused.value)


def test_both_columns_differ():
    with pytest.raises(OptionError, match="must differ"):
        table.Options(path="a.csv", path_column="x", label_column="x")


def test_a_class_of_the_reference_alone_is_refused(root):
    (root / "test.csv").write_text("file,hair\nimg/3.png,Bald\n")
    with pytest.raises(LtdmError, match="has the class 'Bald', which is none of"):
        table.describe(options(root, test_path=str(root / "test.csv")))
