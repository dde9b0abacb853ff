"""Files that are no picture, or one that a decoder stumbles over: named, counted, or used."""

import os
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, features

from ltdm.data import _images, folder
from ltdm.external import images as image_sets
from ltdm.plumbing.errors import LtdmError
from tests.unit.data.test_pictures import picture

BYTE, ASCII, SHORT, RATIONAL, SIGNED, FLOAT = 1, 2, 3, 5, 9, 11  # types of EXIF
ORIENTATION, MAKE, X_RESOLUTION, UNIT, EXIF_IFD = 0x0112, 0x010F, 0x011A, 0x0128, 0x8769
TURNED = (ORIENTATION, SHORT, 1, b"\6")
BLOCKS = {
    "maker twice, once a rational": [TURNED, (MAKE, RATIONAL, 1, b""), (MAKE, ASCII, 3, b"me")],
    "maker a float": [TURNED, (MAKE, FLOAT, 1, struct.pack("<f", 0.5))],
    "a string as a rational": [TURNED, (X_RESOLUTION, ASCII, 4, b"abcd")],
    "a block that begins before the file": [TURNED, (EXIF_IFD, SIGNED, 1, struct.pack("<i", -7))],
    "half a resolution": [TURNED, (UNIT, SHORT, 1, b"\2"), (X_RESOLUTION, BYTE, 1, b"\1")],
    "a value beyond the end": [TURNED, (MAKE, ASCII, 90_000, b"\xff\xff\xff\x7f")],
}


def exif(*entries):
    """EXIF of (tag, type, count, value); the value of a rational is at offset 0."""
    body = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3].ljust(4, b"\0") for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


def insert_exif(path, block, with_jfif):
    """Insert EXIF after a JPEG's JFIF, or instead of it; Pillow then reads the resolution there."""
    data = path.read_bytes()
    end = 4 + int.from_bytes(data[4:6], "big")
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    path.write_bytes((data[:end] if with_jfif else data[:2]) + segment + data[end:])


@pytest.mark.parametrize("with_jfif", [True, False])
@pytest.mark.parametrize("block", BLOCKS)
def test_of_exif_only_the_orientation_counts(tmp_path, block, with_jfif):
    path = picture(tmp_path / "x.jpg")
    (upright,), _ = _images.decode_all([path], 8)
    insert_exif(path, exif(*BLOCKS[block]), with_jfif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (turned,), failures = _images.decode_all([path], 8)
    assert not failures
    assert (turned == np.rot90(upright, -1, axes=(1, 2))).all()


@pytest.mark.parametrize("value", [b"\0\0", b"\x09\0", b"\xff\xff"])
def test_an_orientation_that_means_nothing(tmp_path, value):
    path = picture(tmp_path / "x.jpg")
    before = _images.decode(path, 8)
    insert_exif(path, exif((ORIENTATION, SHORT, 1, value)), True)
    assert (_images.decode(path, 8) == before).all()


@pytest.mark.parametrize("place", ["x.jpg", "x.png", "x.webp", "x.tif", "x.avif", "XMP of x.png"])
def test_the_orientation_of_each_format(tmp_path, place):
    image = Image.new("RGB", (8, 8))
    image.paste("white", (0, 0, 8, 4))
    tags, xmp = Image.Exif(), PngImagePlugin.PngInfo()
    tags[ORIENTATION] = 8  # the upper half belongs to the left
    xmp.add_itxt("XML:com.adobe.xmp", '<rdf:Description tiff:Orientation="8"/>')
    path = tmp_path / place.split()[-1]
    if path.suffix == ".avif" and not features.check("avif"):
        path = path.with_suffix(".png")
    image.save(path, **({"pnginfo": xmp} if "XMP" in place else {"exif": tags}))
    made = _images.decode(path, 8, channels=1)[0]
    assert made[:, :4].min() > 200 and made[:, 4:].max() < 50


@pytest.mark.parametrize(
    "error", [AttributeError("no\nattribute"), RecursionError(), KeyError(3), MemoryError()]
)
def test_whatever_a_decoder_raises_is_of_one_file(tmp_path, monkeypatch, error):
    files = [picture(tmp_path / f"a/{i}.png", seed=i) for i in range(3)]
    open_file = Image.open

    def fail(file, *args, **kwargs):
        if str(file) == str(files[1]):
            raise error
        return open_file(file, *args, **kwargs)

    monkeypatch.setattr(Image, "open", fail)
    skipping = folder.Options(root=str(tmp_path), resolution=8, on_bad_file="skip")
    images, _, skipped = folder.load(skipping, "train")
    assert len(images) == 2
    assert list(skipped) == ["a/1.png"]
    for read in (
        lambda: folder.load(folder.Options(root=str(tmp_path), resolution=8), "train"),
        lambda: image_sets.read_images(tmp_path),
    ):
        with pytest.raises(
            LtdmError, match=r"1 of 3 files in .*: a/1\.png \(\w.*\); fix"
        ) as caught:
            read()
        assert str(caught.value).isprintable()


def test_an_interruption_is_no_bad_file(tmp_path, monkeypatch):
    path = picture(tmp_path / "a/1.png")
    monkeypatch.setattr(Image, "open", lambda file: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        _images.decode_all([path], 8)


def test_entries_that_are_no_files(tmp_path):
    """Reading a named pipe would never end."""
    picture(tmp_path / "a/0.png")
    os.mkfifo(tmp_path / "a/pipe.png")
    (tmp_path / "a/folder.png").mkdir()
    (tmp_path / "a/empty.png").write_bytes(b"")
    (tmp_path / "a/itself.png").symlink_to("itself.png")
    (tmp_path / "a/broken.png").symlink_to("nowhere.png")
    (tmp_path / "a/line\nbreak.png").write_bytes(b"none")
    options = folder.Options(root=str(tmp_path), resolution=8, on_bad_file="skip")
    assert folder.describe(options).class_counts == [7]
    skipped = folder.load(options, "train").skipped
    assert "regular file" in skipped["a/pipe.png"] and "regular file" in skipped["a/folder.png"]
    assert "empty" in skipped["a/empty.png"]
    assert "symbolic links" in skipped["a/itself.png"]
    assert "No such file" in skipped["a/broken.png"]
    with pytest.raises(LtdmError, match=r"6 of 7 files in .* and 3 more; fix or remove") as caught:
        image_sets.read_images(tmp_path)
    assert str(caught.value).isprintable()


def test_a_picture_of_too_many_pixels(tmp_path, monkeypatch):
    path = picture(tmp_path / "x.png")
    for limit, failed in ((40, False), (20, True)):  # above it a warning, above twice that an error
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _, failures = _images.decode_all([path], 8)
        assert bool(failures) == failed


def test_avif_needs_a_newer_pillow(tmp_path, monkeypatch):
    (tmp_path / "x.avif").write_bytes(b"none")
    monkeypatch.setattr(features, "check", lambda name: True)
    assert "cannot identify" in _images.decode_all([tmp_path / "x.avif"], 8)[1][0]
    monkeypatch.setattr(features, "check", lambda name: False)
    assert "needs Pillow 11.3" in _images.decode_all([tmp_path / "x.avif"], 8)[1][0]


@pytest.mark.parametrize("threads", ["0", "4,2", "²", ""])
def test_any_number_of_threads(tmp_path, monkeypatch, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert not _images.decode_all([picture(tmp_path / "x.png")], 8)[1]
