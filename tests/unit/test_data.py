"""Data sources: what they promise, what they load, and what they say of bad files."""

import os
import pickle

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets as tv

from ltdm.data import (
    _images,
    afhq_dog,
    cifar10,
    cifar100,
    digits,
    folder,
    mixture,
    npz,
    tiny_imagenet,
)
from ltdm.errors import LtdmError, OptionError
from ltdm.files import read_json, read_npz
from ltdm.stages import prepare

STREAM = np.random.default_rng(0)


def picture(path, size=(8, 8), mode="RGB", seed=0):
    """A smooth random picture, saved in the format that its name asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
    image.save(path)
    return path


def keeps_its_promise(module, options, split="train"):
    """Load a split; the training split must be what the census says."""
    census, loaded = module.census(options), module.load(options, split)
    assert loaded.images.shape[1:] == (census.channels, census.side, census.side)
    assert loaded.labels.dtype == np.int64
    assert len(loaded.images) == len(loaded.labels)
    assert len(census.names) == len(census.sizes)
    if split == "train":
        assert np.bincount(loaded.labels).tolist() == census.sizes
    return loaded


def test_digits():
    keeps_its_promise(digits, digits.Options())


# Points


def test_mixture_has_the_moments_of_its_components():
    options = mixture.Options(points=40_000)
    points, labels, _ = keeps_its_promise(mixture, options)
    assert points.dtype == np.float32
    head, tail = (points[labels == c, :, 0, 0].astype(np.float64) for c in (0, 1))
    for made, variance in ((head, (5, 1)), (tail, (4, 4))):
        assert np.abs(made.mean(0)).max() < 4 * (5 / 40_000) ** 0.5
        np.testing.assert_allclose(made.var(0), variance, rtol=0.05)
    assert (np.abs(head[:, 0]) > 1).mean() > 0.7, "two bumps, not one"
    again, other = mixture.load(options, "train").images, mixture.load(options, "test").images
    assert (again == points).all()
    assert (other != points).any()


# Arrays


def arrays(path, shape=(40, 8, 8, 3), classes=4, **changes):
    images = STREAM.integers(0, 256, shape, dtype=np.uint8)
    labels = np.arange(shape[0]) % classes
    np.savez(path, **{"x_train": images, "y_train": labels, "x_test": images[:8],
                      "y_test": labels[:8], **changes})  # fmt: skip
    return images, npz.Options(path=str(path))


@pytest.mark.parametrize("shape", [(40, 8, 8, 3), (40, 8, 8, 1), (40, 3, 8, 8), (40, 8, 8)])
def test_arrays_of_any_layout(tmp_path, shape):
    images, options = arrays(tmp_path / "a.npz", shape)
    loaded = keeps_its_promise(npz, options)
    full = images[..., None] if images.ndim == 3 else images
    last = full.shape[1] == full.shape[2] == 8
    assert (loaded.images == (full.transpose(0, 3, 1, 2) if last else full)).all()
    assert loaded.images.flags.c_contiguous
    assert len(keeps_its_promise(npz, options, "test").images) == 8


def test_content_follows_the_arrays_not_the_file(tmp_path):
    images, first = arrays(tmp_path / "a.npz")
    np.savez_compressed(tmp_path / "b.npz", **dict(np.load(tmp_path / "a.npz")))
    second = npz.Options(path=str(tmp_path / "b.npz"))
    assert npz.census(first) == npz.census(second)
    images[0, 0, 0, 0] += 1
    arrays(tmp_path / "c.npz", x_train=images)
    assert (
        npz.census(npz.Options(path=str(tmp_path / "c.npz"))).content != npz.census(first).content
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.zeros((40, 8, 8, 3))}, "x_train must hold uint8 images"),
        ({"x_train": np.zeros((40, 8, 9, 3), np.uint8)}, "must hold square images"),
        ({"x_train": np.zeros((40, 8, 8, 4), np.uint8)}, "must hold square images"),
        ({"y_train": np.zeros(39, int)}, "one whole number from 0 for each of 40 images"),
        ({"y_train": np.zeros(40)}, "one whole number from 0"),
        ({"y_train": np.full(40, -1)}, "one whole number from 0"),
        ({"y_train": np.arange(40) % 4 * 2}, "no image of class 1"),
        ({"y_train": np.full(40, 10**13)}, "one whole number from 0"),
        ({"y_train": np.full(40, 2**63, np.uint64)}, "one whole number from 0"),
        ({"x_train": np.zeros((0, 8, 8, 3), np.uint8), "y_train": np.zeros(0, int)}, "of 0 images"),
        ({"y_train": np.array([{}] * 40)}, "is damaged .* fetch or make it again"),
    ],
)
def test_arrays_that_are_no_labelled_images(tmp_path, changes, message):
    _, options = arrays(tmp_path / "a.npz", **changes)
    with pytest.raises(LtdmError, match=message):
        npz.census(options)


def test_arrays_that_are_not_there(tmp_path):
    with pytest.raises(LtdmError, match="is missing; mend the path"):
        npz.census(npz.Options(path=str(tmp_path / "none.npz")))
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    with pytest.raises(LtdmError, match=r"no array 'x_train'; it holds images\.npy"):
        npz.census(npz.Options(path=str(tmp_path / "other.npz")))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:50])
    with pytest.raises(LtdmError, match="is damaged"):
        npz.census(npz.Options(path=str(tmp_path / "cut.npz")))


# CIFAR


def test_cifar_by_definition_and_from_another_npz(tmp_path):
    assert cifar10.census(cifar10.Options()).sizes == [5000] * 10
    assert cifar100.census(cifar100.Options()).names[:2] == ["apple", "aquarium_fish"]
    _, options = arrays(tmp_path / "a.npz")
    with pytest.raises(OptionError, match=r"npz: .* does not hold this data set's training images"):
        cifar10.census(cifar10.Options(npz=options.path))


def test_cifar_in_torchvisions_files(tmp_path, monkeypatch):
    """The real reader on files of its own layout, with checksums that fit them."""
    base = tmp_path / "cifar-10-batches-py"
    base.mkdir()
    lists = {"train_list": [], "test_list": []}
    rows = STREAM.integers(0, 256, (6, 20, 3072), dtype=np.uint8)
    for i, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        content = {"data": rows[i], "labels": [j % 10 for j in range(20)]}
        (base / name).write_bytes(pickle.dumps(content))
        md5 = tv.utils.calculate_md5(base / name)
        lists["train_list" if i < 5 else "test_list"].append([name, md5])
    meta = base / "batches.meta"
    meta.write_bytes(pickle.dumps({"label_names": cifar10.NAMES}))
    described = {"filename": meta.name, "key": "label_names", "md5": tv.utils.calculate_md5(meta)}
    for key, value in {**lists, "meta": described}.items():
        monkeypatch.setattr(tv.CIFAR10, key, value)
    options = cifar10.Options(root=str(tmp_path))
    with pytest.raises(LtdmError, match="does not hold the images of CIFAR10"):
        cifar10.load(options, "train")
    monkeypatch.setattr(cifar10, "DIGESTS", {"test": "of other images"})
    with pytest.raises(LtdmError, match="another order of them, which would"):
        cifar10.load(options, "test")
    monkeypatch.setattr(cifar10, "DIGESTS", {})
    monkeypatch.setattr(cifar10, "MEAN", rows[:5].reshape(100, 3, -1).mean((0, 2)) / 255)
    images, labels, _ = cifar10.load(options, "train")
    assert (images == rows[:5].reshape(100, 3, 32, 32)).all(), "in the order of the files"
    assert labels.tolist() == [j % 10 for j in range(100)]
    assert not (tmp_path / ".lock").exists(), "nothing is written where nothing is missing"
    assert (cifar10.load(options, "test").images == rows[5].reshape(20, 3, 32, 32)).all()
    (base / "data_batch_3").write_bytes(b"not the file")
    monkeypatch.setattr(tv.CIFAR10, "url", (tmp_path / "nowhere").as_uri())
    with pytest.raises(LtdmError, match=r"cannot get CIFAR10 into .* set `root`, or set `npz`"):
        cifar10.load(options, "train")


# Folders of pictures


def test_a_folder_of_pictures(tmp_path):
    for i, name in enumerate(
        ["cat/b.png", "cat/a.JPG", "ant/x.webp", "ant/.hidden.png", "ant/t.txt"]
    ):
        if name.endswith("txt"):
            (tmp_path / name).write_text("no picture")
        else:
            picture(tmp_path / name, (12, 9), seed=i)
    options = folder.Options(root=str(tmp_path), side=8)
    loaded = keeps_its_promise(folder, options)
    census = folder.census(options)
    assert (census.names, census.sizes) == (["ant", "cat"], [1, 2])
    with Image.open(tmp_path / "cat/b.png") as image:
        expected = image.resize((8, 8), Image.Resampling.LANCZOS, box=(1.5, 0, 10.5, 9))
    assert (loaded.images[2] == np.asarray(expected).transpose(2, 0, 1)).all(), (
        "by name, cut square"
    )
    grey = keeps_its_promise(folder, folder.Options(root=str(tmp_path), side=8, channels=1))
    assert grey.images.shape == (3, 1, 8, 8)


def test_content_of_a_folder_follows_names_and_sizes(tmp_path):
    for name in ("a/1.png", "b/1.png"):
        picture(tmp_path / name)
    options = folder.Options(root=str(tmp_path))
    before = folder.census(options).content
    (tmp_path / "a/1.png").touch()
    assert folder.census(options).content == before
    picture(tmp_path / "b/2.png", seed=1)
    assert folder.census(options).content != before


def test_bad_files_are_named_and_counted_or_left_out(tmp_path, caplog):
    caplog.set_level("INFO")
    whole = [picture(tmp_path / f"{c}/{i}.png", seed=i) for c in "ab" for i in range(5)]
    whole[1].write_bytes(whole[1].read_bytes()[:60])
    whole[7].write_text("no picture at all")
    refused = folder.Options(root=str(tmp_path), side=8)
    with pytest.raises(LtdmError) as caught:
        folder.load(refused, "train")
    assert "2 of 10 files in" in str(caught.value)
    assert "a/1.png (" in str(caught.value) and "b/2.png (cannot identify" in str(caught.value)
    assert "set `bad_files: skip`" in str(caught.value)
    assert "cannot decode" in caplog.text
    skipping = folder.Options(root=str(tmp_path), side=8, bad_files="skip")
    images, labels, left_out = folder.load(skipping, "train")
    assert labels.tolist() == [0] * 4 + [1] * 4
    assert list(left_out) == ["a/1.png", "b/2.png"]
    good = [i for i in range(10) if i not in (1, 7)]
    assert (images == _images.decode_all([whole[i] for i in good], 8)[0]).all()
    content = folder.census(skipping).content
    spec = {"source": {"name": "folder", "side": 8, "bad_files": "skip"}, "reference": "train",
            "longtail": {"profile": "balanced"}, "content": content}  # fmt: skip
    out = {n: tmp_path / f"out/{n}" for n in ("train", "reference", "table", "record")}
    prepare.run(spec, {"root": str(tmp_path)}, **out)
    assert list(read_json(out["record"])["left_out"]) == ["a/1.png", "b/2.png"]
    assert np.bincount(read_npz(out["train"], "labels")[0]).tolist() == [4, 4]


def test_a_folder_that_changes_while_the_workflow_runs(tmp_path):
    picture(tmp_path / "in/a/1.png")
    spec = {"source": {"name": "folder"}, "reference": "train", "longtail": {}, "content": "before"}
    out = {n: tmp_path / f"out/{n}" for n in ("train", "reference", "table", "record")}
    with pytest.raises(LtdmError, match="changed since this began; run the command again"):
        prepare.run(spec, {"root": str(tmp_path / "in")}, **out)


def test_folders_that_hold_nothing(tmp_path):
    with pytest.raises(LtdmError, match=r"cannot read the folder .*none"):
        folder.census(folder.Options(root=str(tmp_path / "none")))
    with pytest.raises(LtdmError, match="holds no class folders"):
        folder.census(folder.Options(root=str(tmp_path)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(LtdmError, match=r"empty holds no image \(\.png"):
        folder.census(folder.Options(root=str(tmp_path)))


def test_links_to_nowhere_and_odd_names(tmp_path):
    picture(tmp_path / "in/a/1.png")
    (tmp_path / "in/a/2.png").symlink_to(tmp_path / "nowhere.png")
    options = folder.Options(root=str(tmp_path / "in"), bad_files="skip")
    assert folder.census(options).sizes == [2]
    assert list(folder.load(options, "train").left_out) == ["a/2.png"]
    (tmp_path / "in" / os.fsdecode(b"\xff")).mkdir()
    with pytest.raises(LtdmError, match="not UTF-8; rename it"):
        folder.census(options)
    with pytest.raises(LtdmError, match="cannot read the folder"):
        folder.census(folder.Options(root="a\0b"))


def test_a_class_of_which_nothing_is_left(tmp_path):
    picture(tmp_path / "in/a/1.png")
    picture(tmp_path / "in/b/1.png").write_text("none")
    spec = {"source": {"name": "folder", "bad_files": "skip"}, "reference": "train", "longtail": {}}
    options = folder.Options(root=str(tmp_path / "in"))
    out = {n: tmp_path / f"out/{n}" for n in ("train", "reference", "table", "record")}
    with pytest.raises(LtdmError, match="no file of class 'b' of source folder can be decoded"):
        spec["content"] = folder.census(options).content
        prepare.run(spec, {"root": options.root}, **out)


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
    monkeypatch.setattr(tiny_imagenet, "EACH", 2)
    options = tiny(tmp_path, 6)
    keeps_its_promise(tiny_imagenet, options)
    test = keeps_its_promise(tiny_imagenet, options, "test")
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
        tiny_imagenet.census(options)


@pytest.mark.parametrize("split", ["test", "val"])
def test_afhq_dog(tmp_path, split):
    for i in range(3):
        picture(tmp_path / f"train/dog/{i}.jpg", (96, 96), seed=i)
    picture(tmp_path / f"{split}/dog/0.png", (96, 96))
    picture(tmp_path / "train/cat/0.jpg")
    options = afhq_dog.Options(root=str(tmp_path), side=16)
    images = keeps_its_promise(afhq_dog, options).images
    assert len(keeps_its_promise(afhq_dog, options, "test").images) == 1
    with Image.open(tmp_path / "train/dog/0.jpg") as image:
        expected = image.resize((16, 16), Image.Resampling.BILINEAR)
    assert (images[0] == np.asarray(expected).transpose(2, 0, 1)).all()


def test_the_reference_may_be_the_test_split(tmp_path):
    arrays(tmp_path / "a.npz")
    path = str(tmp_path / "a.npz")
    spec = {"source": {"name": "npz"}, "reference": "test", "longtail": {"profile": "balanced"},
            "content": npz.census(npz.Options(path=path)).content}  # fmt: skip
    out = {n: tmp_path / f"out/{n}" for n in ("train", "reference", "table", "record")}
    prepare.run(spec, {"path": path}, **out)
    assert len(read_npz(out["reference"], "images")[0]) == 8
    arrays(tmp_path / "a.npz", x_test=np.zeros((8, 4, 4, 3), np.uint8))
    spec["content"] = npz.census(npz.Options(path=path)).content
    with pytest.raises(LtdmError, match="the test split of npz holds images of shape"):
        prepare.run(spec, {"path": path}, **out)
    arrays(tmp_path / "a.npz")
    spec["content"] = npz.census(npz.Options(path=path)).content
    prepare.run(spec, {"path": path}, **out)
    assert len(read_npz(out["train"], "images")[0]) == 40
