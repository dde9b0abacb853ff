"""Data sources: their descriptions, their splits, and their errors on bad files."""

import pickle

import numpy as np
import pytest
from torchvision import datasets as tv

from ltdm.data import cifar10, cifar100, digits, mixture, npz
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import read_npz
from ltdm.stages import prepare

RNG = np.random.default_rng(0)


def load_and_check(module, options, split="train"):
    """Load a split and compare it with the source's description."""
    info, loaded = module.describe(options), module.load(options, split)
    assert loaded.images.shape[1:] == (info.channels, info.resolution, info.resolution)
    assert loaded.labels.dtype == np.int64
    assert len(loaded.images) == len(loaded.labels)
    assert len(info.names) == len(info.class_counts)
    if split == "train":
        assert np.bincount(loaded.labels).tolist() == info.class_counts
    return loaded


def test_digits_match_their_description():
    load_and_check(digits, digits.Options())


# Points


def test_mixture_has_the_moments_of_its_components():
    options = mixture.Options(points_per_class=40_000)
    points, labels, _ = load_and_check(mixture, options)
    assert points.dtype == np.float32
    head, tail = (points[labels == c, :, 0, 0].astype(np.float64) for c in (0, 1))
    for sample, variance in ((head, (5, 1)), (tail, (4, 4))):
        assert np.abs(sample.mean(0)).max() < 4 * (5 / 40_000) ** 0.5
        np.testing.assert_allclose(sample.var(0), variance, rtol=0.05)
    assert (np.abs(head[:, 0]) > 1).mean() > 0.7, "two modes, not one"
    again, other = mixture.load(options, "train").images, mixture.load(options, "test").images
    assert (again == points).all()
    assert (other != points).any()


# Arrays


def write_arrays(path, shape=(40, 8, 8, 3), classes=4, **changes):
    """Write an .npz of labelled images; return the training images and the source's options."""
    images = RNG.integers(0, 256, shape, dtype=np.uint8)
    labels = np.arange(shape[0]) % classes
    arrays = {"x_train": images, "y_train": labels, "x_test": images[:8], "y_test": labels[:8]}
    np.savez(path, **arrays | changes)
    return images, npz.Options(path=str(path))


@pytest.mark.parametrize("shape", [(40, 8, 8, 3), (40, 8, 8, 1), (40, 3, 8, 8), (40, 8, 8)])
def test_arrays_of_any_layout(tmp_path, shape):
    images, options = write_arrays(tmp_path / "a.npz", shape)
    loaded = load_and_check(npz, options)
    full = images[..., None] if images.ndim == 3 else images
    channels_last = full.shape[1] == full.shape[2] == 8
    assert (loaded.images == (full.transpose(0, 3, 1, 2) if channels_last else full)).all()
    assert loaded.images.flags.c_contiguous
    assert len(load_and_check(npz, options, "test").images) == 8


def test_digest_depends_on_the_arrays_and_not_on_the_file(tmp_path):
    images, first = write_arrays(tmp_path / "a.npz")
    np.savez_compressed(tmp_path / "b.npz", **dict(np.load(tmp_path / "a.npz")))
    second = npz.Options(path=str(tmp_path / "b.npz"))
    assert npz.describe(first) == npz.describe(second)
    images[0, 0, 0, 0] += 1
    write_arrays(tmp_path / "c.npz", x_train=images)
    assert (
        npz.describe(npz.Options(path=str(tmp_path / "c.npz"))).digest != npz.describe(first).digest
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
        (
            {"x_train": np.zeros((0, 8, 8, 3), np.uint8), "y_train": np.zeros(0, int)},
            "x_train holds no image",
        ),
        ({"y_train": np.array([{}] * 40)}, "is damaged.* fetch or make it again"),
    ],
)
def test_arrays_that_are_not_labelled_images_are_rejected(tmp_path, changes, message):
    _, options = write_arrays(tmp_path / "a.npz", **changes)
    with pytest.raises(LtdmError, match=message):
        npz.describe(options)


def test_missing_and_damaged_arrays_are_rejected(tmp_path):
    with pytest.raises(LtdmError, match="is missing"):
        npz.describe(npz.Options(path=str(tmp_path / "none.npz")))
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    with pytest.raises(LtdmError, match=r"no array 'x_train'; it holds images; rename"):
        npz.describe(npz.Options(path=str(tmp_path / "other.npz")))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:50])
    with pytest.raises(LtdmError, match="is damaged"):
        npz.describe(npz.Options(path=str(tmp_path / "cut.npz")))


# CIFAR


def test_cifar_has_its_published_contents_and_rejects_another_npz(tmp_path):
    assert cifar10.describe(cifar10.Options()).class_counts == [5000] * 10
    assert cifar100.describe(cifar100.Options()).names[:2] == ["apple", "aquarium_fish"]
    _, options = write_arrays(tmp_path / "a.npz")
    with pytest.raises(OptionError, match=r"npz: .* does not hold this data set's training images"):
        cifar10.describe(cifar10.Options(npz=options.path))


def test_cifar_is_read_from_torchvisions_files(tmp_path, monkeypatch):
    """torchvision's reader on files of its layout, with the checksums of these files."""
    base = tmp_path / "cifar-10-batches-py"
    base.mkdir()
    lists = {"train_list": [], "test_list": []}
    rows = RNG.integers(0, 256, (6, 20, 3072), dtype=np.uint8)
    for i, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        content = {"data": rows[i], "labels": [j % 10 for j in range(20)]}
        (base / name).write_bytes(pickle.dumps(content))
        md5 = tv.utils.calculate_md5(base / name)
        lists["train_list" if i < 5 else "test_list"].append([name, md5])
    meta = base / "batches.meta"
    meta.write_bytes(pickle.dumps({"label_names": cifar10.CLASS_NAMES}))
    meta_entry = {"filename": meta.name, "key": "label_names", "md5": tv.utils.calculate_md5(meta)}
    for key, value in {**lists, "meta": meta_entry}.items():
        monkeypatch.setattr(tv.CIFAR10, key, value)
    options = cifar10.Options(root=str(tmp_path))
    with pytest.raises(LtdmError, match="does not hold the images of CIFAR10"):
        cifar10.load(options, "train")
    monkeypatch.setattr(cifar10, "DIGESTS", {"test": "of other images"})
    with pytest.raises(LtdmError, match="in another order"):
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


def test_reference_may_be_the_test_split(tmp_path):
    write_arrays(tmp_path / "a.npz")
    path = str(tmp_path / "a.npz")
    spec = {
        "source": {"name": "npz"},
        "reference_split": "test",
        "longtail": {"profile": "balanced"},
        "content": npz.describe(npz.Options(path=path)).digest,
        "code": "this",
        "places": {"path": path},
    }
    out = {n: tmp_path / f"out/{n}" for n in ("train", "reference", "counts", "record")}
    prepare.run(spec, **out)
    assert len(read_npz(out["reference"], "images")[0]) == 8
    write_arrays(tmp_path / "a.npz", x_test=np.zeros((8, 4, 4, 3), np.uint8))
    spec["content"] = npz.describe(npz.Options(path=path)).digest
    with pytest.raises(LtdmError, match="the test split of npz holds images of shape"):
        prepare.run(spec, **out)
    write_arrays(tmp_path / "a.npz")
    spec["content"] = npz.describe(npz.Options(path=path)).digest
    prepare.run(spec, **out)
    assert len(read_npz(out["train"], "images")[0]) == 40
