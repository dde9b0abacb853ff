"""Sources that decode picture files: folders, Tiny-ImageNet, AFHQ."""

import os

import numpy as np
import pytest
from PIL import Image

from ltdm.data import (
    _images,
    afhq_dog,
    folder,
    tiny_imagenet,
)
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json, read_npz
from ltdm.stages import prepare
from tests.unit.data.test_data import load_and_check


def picture(path, size=(8, 8), mode="RGB", seed=0):
    """A smooth random picture, saved in the format of its file name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
    image.save(path)
    return path


def test_a_folder_of_pictures(tmp_path):
    for i, name in enumerate(
        ["cat/b.png", "cat/a.JPG", "ant/x.webp", "ant/.hidden.png", "ant/t.txt"]
    ):
        if name.endswith("txt"):
            (tmp_path / name).write_text("no picture")
        else:
            picture(tmp_path / name, (12, 9), seed=i)
    options = folder.Options(root=str(tmp_path), resolution=8)
    loaded = load_and_check(folder, options)
    info = folder.describe(options)
    assert (info.names, info.class_counts) == (["ant", "cat"], [1, 2])
    with Image.open(tmp_path / "cat/b.png") as image:
        expected = image.resize((8, 8), Image.Resampling.LANCZOS, box=(1.5, 0, 10.5, 9))
    assert (loaded.images[2] == np.asarray(expected).transpose(2, 0, 1)).all(), (
        "by name, cut square"
    )
    grey = load_and_check(folder, folder.Options(root=str(tmp_path), resolution=8, channels=1))
    assert grey.images.shape == (3, 1, 8, 8)


def test_content_of_a_folder_follows_names_and_sizes(tmp_path):
    for name in ("a/1.png", "b/1.png"):
        picture(tmp_path / name)
    options = folder.Options(root=str(tmp_path))
    before = folder.describe(options).digest
    (tmp_path / "a/1.png").touch()
    assert folder.describe(options).digest == before
    picture(tmp_path / "b/2.png", seed=1)
    assert folder.describe(options).digest != before


def test_bad_files_are_named_and_counted_or_left_out(tmp_path, caplog):
    caplog.set_level("INFO")
    whole = [picture(tmp_path / f"{c}/{i}.png", seed=i) for c in "ab" for i in range(5)]
    whole[1].write_bytes(whole[1].read_bytes()[:60])
    whole[7].write_text("no picture at all")
    refused = folder.Options(root=str(tmp_path), resolution=8)
    with pytest.raises(LtdmError) as caught:
        folder.load(refused, "train")
    assert "2 of 10 files in" in str(caught.value)
    assert "a/1.png (" in str(caught.value) and "b/2.png (cannot identify" in str(caught.value)
    assert "set `on_bad_file: skip`" in str(caught.value)
    assert "cannot decode" in caplog.text
    skipping = folder.Options(root=str(tmp_path), resolution=8, on_bad_file="skip")
    images, labels, left_out = folder.load(skipping, "train")
    assert labels.tolist() == [0] * 4 + [1] * 4
    assert list(left_out) == ["a/1.png", "b/2.png"]
    good = [i for i in range(10) if i not in (1, 7)]
    assert (images == _images.decode_all([whole[i] for i in good], 8)[0]).all()
    content = folder.describe(skipping).digest
    spec = {
        "source": {"name": "folder", "resolution": 8, "on_bad_file": "skip"},
        "reference_split": "train",
        "longtail": {"profile": "balanced"},
        "content": content,
    }
    out = {n: tmp_path / f"out/{n}" for n in ("train", "reference", "counts", "record")}
    prepare.run({**spec, "code": "this", "places": {"root": str(tmp_path)}}, **out)
    assert list(read_json(out["record"])["left_out"]) == ["a/1.png", "b/2.png"]
    assert np.bincount(read_npz(out["train"], "labels")[0]).tolist() == [4, 4]


def test_a_folder_that_changes_while_the_workflow_runs(tmp_path):
    picture(tmp_path / "in/a/1.png")
    spec = {
        "source": {"name": "folder"},
        "reference_split": "train",
        "longtail": {},
        "content": "before",
    }
    out = {n: tmp_path / f"out/{n}" for n in ("train", "reference", "counts", "record")}
    with pytest.raises(LtdmError, match="changed since this began; run the command again"):
        prepare.run({**spec, "code": "this", "places": {"root": str(tmp_path / "in")}}, **out)


def test_folders_that_hold_nothing(tmp_path):
    with pytest.raises(LtdmError, match=r"cannot read the folder .*none"):
        folder.describe(folder.Options(root=str(tmp_path / "none")))
    with pytest.raises(LtdmError, match="holds no class folders"):
        folder.describe(folder.Options(root=str(tmp_path)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(LtdmError, match=r"empty holds no image \(\.png"):
        folder.describe(folder.Options(root=str(tmp_path)))


def test_links_to_nowhere_and_odd_names(tmp_path):
    picture(tmp_path / "in/a/1.png")
    (tmp_path / "in/a/2.png").symlink_to(tmp_path / "nowhere.png")
    options = folder.Options(root=str(tmp_path / "in"), on_bad_file="skip")
    assert folder.describe(options).class_counts == [2]
    assert list(folder.load(options, "train").skipped) == ["a/2.png"]
    (tmp_path / "in" / os.fsdecode(b"\xff")).mkdir()
    with pytest.raises(LtdmError, match="not UTF-8; rename it"):
        folder.describe(options)
    with pytest.raises(LtdmError, match="cannot read the folder"):
        folder.describe(folder.Options(root="a\0b"))


def test_a_class_of_which_nothing_is_left(tmp_path):
    picture(tmp_path / "in/a/1.png")
    picture(tmp_path / "in/b/1.png").write_text("none")
    spec = {
        "source": {"name": "folder", "on_bad_file": "skip"},
        "reference_split": "train",
        "longtail": {},
    }
    options = folder.Options(root=str(tmp_path / "in"))
    out = {n: tmp_path / f"out/{n}" for n in ("train", "reference", "counts", "record")}
    with pytest.raises(LtdmError, match="no file of class 'b' of source folder can be decoded"):
        spec["content"] = folder.describe(options).digest
        prepare.run({**spec, "code": "this", "places": {"root": options.root}}, **out)


def test_odd_pictures(tmp_path):
    def decoded(image, name="x.png", **options):
        image.save(tmp_path / name, **options)
        return _images.decode(tmp_path / name, 4)

    ramp = np.linspace(0, 65535, 16).reshape(4, 4).astype(np.uint16)
    assert (decoded(Image.fromarray(ramp)) == (ramp >> 8)).all(), "16-bit greys keep 8 bits"
    grey = Image.fromarray((ramp >> 8).astype(np.uint8))
    assert (decoded(grey) == (ramp >> 8)).all(), "grey becomes RGB"
    clear = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert (decoded(clear) == 255).all(), "transparency lies over white"
    turned = Image.new("RGB", (4, 4))
    turned.putpixel((0, 0), (255, 255, 255))
    exif = turned.getexif()
    exif[0x0112] = 3  # upside down
    assert decoded(turned, "x.png", exif=exif)[0, 3, 3] == 255
    assert decoded(Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "x.jpg").shape == (3, 4, 4)
    palette = Image.new("P", (4, 4))
    palette.putpalette([9, 8, 7] * 256)
    assert decoded(palette)[:, 0, 0].tolist() == [9, 8, 7]


def test_resizing_is_antialiased(tmp_path):
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    Image.fromarray(stripes).save(tmp_path / "x.png")
    made = _images.decode(tmp_path / "x.png", 8)
    assert made.min() > 110 and made.max() < 145, "stripes too fine to show become grey"


# Tiny-ImageNet and AFHQ


def tiny(root, classes=tiny_imagenet.CLASSES):
    names = [f"n{c:08d}" for c in range(classes)]
    for c, name in enumerate(names):
        for i in range(2):
            picture(root / f"train/{name}/images/{name}_{i}.JPEG", (64, 64), seed=c)
    lines = []
    for i, name in enumerate(reversed(names[:5])):
        picture(root / f"val/images/val_{i}.JPEG", (64, 64), "L" if i else "RGB", seed=i)
        lines.append(f"val_{i}.JPEG\t{name}\t0\t0\t63\t63\n")
    (root / "val/val_annotations.txt").write_text("".join(lines))
    return tiny_imagenet.Options(root=str(root))


def test_tiny_imagenet(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_imagenet, "CLASSES", 6)
    monkeypatch.setattr(tiny_imagenet, "IMAGES_PER_CLASS", 2)
    options = tiny(tmp_path, 6)
    load_and_check(tiny_imagenet, options)
    test = load_and_check(tiny_imagenet, options, "test")
    assert test.labels.tolist() == [4, 3, 2, 1, 0]
    with open(tmp_path / "val/val_annotations.txt", "a") as table:
        table.write("val_9.JPEG\tn99999999\n")
    with pytest.raises(LtdmError, match=r"val_annotations\.txt does not name a file and its class"):
        tiny_imagenet.load(options, "test")
    (tmp_path / "train/n00000001/images/n00000001_1.JPEG").write_bytes(b"")
    with pytest.raises(LtdmError, match=r"1 of 12 files in .* unpack tiny-imagenet-200\.zip again"):
        tiny_imagenet.load(options, "train")
    monkeypatch.setattr(tiny_imagenet, "CLASSES", 200)
    with pytest.raises(LtdmError, match="holds 6 classes, not 200"):
        tiny_imagenet.describe(options)


@pytest.mark.parametrize("split", ["test", "val"])
def test_afhq_dog(tmp_path, split):
    for i in range(3):
        picture(tmp_path / f"train/dog/{i}.jpg", (96, 96), seed=i)
    picture(tmp_path / f"{split}/dog/0.png", (96, 96))
    picture(tmp_path / "train/cat/0.jpg")
    options = afhq_dog.Options(root=str(tmp_path), resolution=16)
    images = load_and_check(afhq_dog, options).images
    assert len(load_and_check(afhq_dog, options, "test").images) == 1
    with Image.open(tmp_path / "train/dog/0.jpg") as image:
        expected = image.resize((16, 16), Image.Resampling.BILINEAR)
    assert (images[0] == np.asarray(expected).transpose(2, 0, 1)).all()
