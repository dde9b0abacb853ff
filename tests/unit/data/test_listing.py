"""What counts in a folder of pictures, for the source `folder` and for scoring."""

import numpy as np
import pytest
from PIL import Image

from ltdm.data import afhq_dog, folder
from ltdm.external import images as image_sets
from ltdm.plumbing.errors import LtdmError
from tests.unit.data.test_pictures import picture

READERS = {
    "source": lambda root: folder.describe(folder.Options(root=str(root), resolution=8)),
    "score": image_sets.read_images,
}


@pytest.fixture
def two_classes(tmp_path):
    for name in ("ant/0.png", "ant/1.png", "bee/0.png"):
        picture(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        *("__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information"),
        *(".ipynb_checkpoints", ".git", "#recycle", "__pycache__"),
    ],
)
def test_leavings_are_passed_over(two_classes, name):
    options = folder.Options(root=str(two_classes), resolution=8)
    before = folder.describe(options)
    picture(two_classes / name / "0.png/thumb.jpg")
    picture(two_classes / name / "0.jpg")
    picture(two_classes / "ant" / name / "0.jpg")
    for file in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png", "0.png~"):
        (two_classes / file).write_bytes(b"left")
        (two_classes / "ant" / file).write_bytes(b"left")
    assert folder.describe(options) == before
    assert np.bincount(folder.load(options, "train").labels).tolist() == before.class_counts
    images, labels, names = image_sets.read_images(two_classes)
    assert (len(images), labels.tolist(), names) == (3, [0, 0, 1], ["ant", "bee"])


def test_the_digest_is_that_of_earlier_versions(tmp_path):
    """Otherwise finished results would count as those of other data."""
    for name, size in (("ant/0.png", 3), ("ant/B.JPG", 5), ("bee/c.webp", 0)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "bee/z.jpeg").symlink_to("nowhere")
    assert READERS["source"](tmp_path).digest == "b5db0e8cc0241b6e"


@pytest.mark.parametrize("reader", READERS)
def test_folders_without_images_are_named(two_classes, reader):
    for name in "vwxyz":
        (two_classes / name).mkdir()
    with pytest.raises(LtdmError, match=r"/v, .*/w, .*/x and 2 more hold no image \(\.png"):
        READERS[reader](two_classes)


@pytest.mark.parametrize("reader", READERS)
def test_classes_that_lie_one_level_deeper(tmp_path, reader):
    picture(tmp_path / "train/ant/0.png")
    with pytest.raises(LtdmError, match=r"train has its images .* deeper \(ant\): .* name it as"):
        READERS[reader](tmp_path)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("target", ["cat", "nowhere"])
def test_a_link_that_leads_nowhere_is_a_missing_class(two_classes, reader, target):
    (two_classes / "cat").symlink_to(target)
    with pytest.raises(LtdmError, match="has links that lead nowhere: cat; fix or remove"):
        READERS[reader](two_classes)


def test_a_class_may_be_a_link_or_be_called_like_an_image(two_classes):
    picture(two_classes / "cow.png/0.png")
    (two_classes / "dog").symlink_to("bee")
    assert READERS["source"](two_classes).class_counts == [2, 1, 1, 1]
    assert READERS["score"](two_classes).names == ["ant", "bee", "cow.png", "dog"]


def test_images_without_classes(tmp_path):
    picture(tmp_path / "0.png")
    (tmp_path / "1.png").symlink_to("1.png")
    with pytest.raises(LtdmError, match=r"holds no class folders but images \(0\.png\)"):
        READERS["source"](tmp_path)
    with pytest.raises(LtdmError, match=r"1 of 2 files in .*1\.png \(Too many levels"):
        READERS["score"](tmp_path)


@pytest.mark.parametrize("reader", READERS)
def test_a_folder_that_cannot_be_listed(two_classes, reader):
    root = two_classes / "itself"
    root.symlink_to("itself")
    with pytest.raises(LtdmError, match=r"itself.*symbolic links"):
        READERS[reader](root)


def test_leavings_beside_the_dogs(tmp_path):
    picture(tmp_path / "train/dog/0.jpg")
    picture(tmp_path / "train/dog/._0.jpg")
    picture(tmp_path / "train/dog/__MACOSX/0.jpg")
    options = afhq_dog.Options(root=str(tmp_path), resolution=8)
    assert afhq_dog.describe(options).class_counts == [len(afhq_dog.load(options, "train").images)]


def test_greys_of_sixteen_bits_are_grey_in_scoring(tmp_path):
    Image.fromarray(np.full((8, 8), 2**15, "u2")).save(tmp_path / "0.png")
    assert image_sets.read_images(tmp_path).images.shape == (1, 1, 8, 8)
    picture(tmp_path / "1.png", mode="RGB")
    assert image_sets.read_images(tmp_path).images.shape == (2, 3, 8, 8)
