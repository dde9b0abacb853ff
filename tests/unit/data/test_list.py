"""The source `list`: images named by text files, in the layout of the long-tailed benchmarks."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from ltdm.config.datasets import parse_dataset
from ltdm.data import folder
from ltdm.data import list as listed
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import read_npz
from tests.helpers.stages import prepare_dataset
from tests.unit.data.test_data import load_and_check
from tests.unit.data.test_pictures import picture

LINES = ["train/n01/a.png 1", "train/n00/b c.jpg 0", "", "train/n01/d.png\t1", "train/n02/e.png 2"]


@pytest.fixture
def root(tmp_path):
    """A benchmark with five training images of three classes, and one test image per class."""
    for i, line in enumerate(filter(None, LINES)):
        picture(tmp_path / line.replace("\t", " ").rpartition(" ")[0], (12, 9), seed=i)
    for label in range(3):
        picture(tmp_path / f"val/{label}.png", seed=9 + label)
    (tmp_path / "train.txt").write_text("\n".join(LINES) + "\r\n")
    (tmp_path / "val.txt").write_text("".join(f"val/{label}.png {label}\n" for label in range(3)))
    (tmp_path / "names.txt").write_text("ant\nbee\ncat\n")
    return tmp_path


def options(home, **others):
    return listed.Options(path=str(home / "train.txt"), resolution=8, **others)


def test_a_list_has_its_own_order_labels_and_names(root):
    with_names = options(root, names_path=str(root / "names.txt"))
    loaded, info = load_and_check(listed, with_names), listed.describe(with_names)
    assert (info.names, info.class_counts) == (["ant", "bee", "cat"], [1, 2, 1])
    assert loaded.labels.tolist() == [1, 0, 1, 2]
    by_folder = folder.load(folder.Options(root=str(root / "train"), resolution=8), "train")
    np.testing.assert_array_equal(loaded.images, by_folder.images[[1, 0, 2, 3]])
    assert listed.describe(options(root)).names == ["class 0", "class 1", "class 2"]


def test_a_data_set_compares_with_another_list(root):
    entries = {"source": "list", "path": str(root / "train.txt"), "profile": "full"}
    entries |= {"test_path": str(root / "val.txt"), "reference_split": "test", "resolution": 8}
    dataset = parse_dataset(entries, ("datasets", "lt"), root / "none.json")
    assert dataset.class_counts == [1, 2, 1]
    files = prepare_dataset(
        root,
        content=dataset.info.digest,
        places={"path": entries["path"], "test_path": entries["test_path"]},
        source={"name": "list", "resolution": 8},
        longtail={"profile": "full"},
        reference_split="test",
    )
    assert read_npz(files["reference"], "labels")[0].tolist() == [0, 1, 2]
    del entries["test_path"]
    with pytest.raises(OptionError, match=r"datasets\.lt\.test_path: is missing"):
        parse_dataset(entries, ("datasets", "lt"), root / "none.json")


def test_the_digest_is_of_paths_labels_sizes_and_names_and_not_of_the_place(root):
    first = listed.describe(options(root)).digest
    moved = root.with_name("moved")
    root.rename(moved)
    assert listed.describe(options(moved)).digest == first
    os.utime(moved / "train.txt", (time.time() + 9, time.time() + 9))
    assert listed.describe(options(moved)).digest == first
    changes = {options(moved, names_path=str(moved / "names.txt")): "names"}
    changes[options(moved, test_path=str(moved / "val.txt"))] = "another list"
    digests = {listed.describe(each).digest for each in changes}
    picture(moved / "train/n01/a.png", (20, 20), seed=77)
    digests.add(listed.describe(options(moved)).digest)
    (moved / "train.txt").write_text(
        "\n".join(LINES).replace("e.png 2", "e.png 2\ntrain/n01/a.png 2")
    )
    digests.add(listed.describe(options(moved)).digest)
    assert len({first, *digests}) == 5


def test_a_root_elsewhere_and_absolute_paths(root, tmp_path_factory):
    lists = tmp_path_factory.mktemp("lists")
    (lists / "train.txt").write_text((root / "train.txt").read_text())
    with pytest.raises(LtdmError, match=r"4 of 4 files of the list are not below .*set `root`"):
        listed.describe(options(lists))
    assert listed.describe(options(lists, root=str(root))).class_counts == [1, 2, 1]
    lines = [f"{root}/{line}" for line in LINES if line]
    (lists / "train.txt").write_text("\n".join(lines))
    assert load_and_check(listed, options(lists)).labels.tolist() == [1, 0, 1, 2]


def test_bad_files_are_an_error_or_left_out(root):
    Path(root / "train/n01/d.png").write_text("no picture")
    with pytest.raises(LtdmError, match=r"1 of 4 files .* cannot be decoded: train/n01/d.png"):
        listed.load(options(root), "train")
    loaded = listed.load(options(root, on_bad_file="skip"), "train")
    assert loaded.labels.tolist() == [1, 0, 2] and [*loaded.skipped] == ["train/n01/d.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no image"),
        ("\n \n", "names no image"),
        ("train/n01/a.png\n", "line 1: 'train/n01/a.png' is no path followed by a label"),
        ("train/n01/a.png 0\n0\n", "line 2: '0' is no path"),
        ("train/n01/a.png -1\n", "is no path followed by a label"),
        ("train/n01/a.png 1.0\n", "is no path followed by a label"),
        ("train/n01/a.png cat\n", "is no path followed by a label"),
        ("train/n01/a.png 7\n", "has no image of class 0 of 8"),
        ("train/n01/a.png 1\ntrain/n02/e.png 1\n", "has no image of class 0"),
        (f"train/n01/a.png {'9' * 5000}\n", "is no path followed by a label"),
        ("train/n01/a\0.png 0\n", "is no text in UTF-8"),
        ("train/n01/a.png 0\ngone.png 0\n", "1 of 2 files of the list are not below"),
    ],
)
def test_a_bad_list_is_refused_in_one_sentence(root, text, message):
    (root / "train.txt").write_text(text)
    with pytest.raises(LtdmError) as refused:
        listed.describe(options(root))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("val/0.png 0\nval/1.png 1\n", "val.txt has no image of class 2 of 3"),
        ("val/0.png 0\nval/1.png 1\nval/2.png 2\nval/2.png 3\n", "val.txt has the label 3"),
    ],
)
def test_a_reference_of_other_classes_is_refused_before_anything_is_decoded(root, text, message):
    (root / "val.txt").write_text(text)
    with pytest.raises(LtdmError) as refused:
        listed.describe(options(root, test_path=str(root / "val.txt")))
    assert message in str(refused.value)


@pytest.mark.parametrize("names", ["ant\nbee\n", "ant\nbee\nbee\n", ""])
def test_names_are_one_per_class_and_differ(root, names):
    (root / "names.txt").write_text(names)
    with pytest.raises(LtdmError, match="for 3 classes; write one name per line"):
        listed.describe(options(root, names_path=str(root / "names.txt")))


@pytest.mark.parametrize("name", ["train.txt", "names.txt"])
def test_a_file_that_is_missing_is_named(root, name):
    (root / name).unlink()
    with pytest.raises(LtdmError, match=f"{name} is missing") as refused:
        listed.describe(options(root, names_path=str(root / "names.txt")))
    assert isinstance(refused.value.__cause__, FileNotFoundError), "so that prepared data are used"
