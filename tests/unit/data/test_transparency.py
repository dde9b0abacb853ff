"""Transparent images of every mode lie over white, and those of 16 bits as their twins of 8."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from ltdm.data import _images

GREY, RGB = 0, 2  # colour types of a PNG
ALPHA = ("LA", "RGBA")


def decoded(path, channels=3):
    """The only row of an image file as lists of its first and second half: equal colours each."""
    (images, failures) = _images.decode_all([path], 8, channels)
    assert not failures
    halves = images[0][..., :4], images[0][..., 4:]
    assert all((half == half[:, :1, :1]).all() for half in halves)
    return [half[:, 0, 0].tolist() for half in halves]


def write_png(path, bits, colour_type, samples, key):
    """An 8 x 8 PNG of two halves of `samples`, of which the one that equals `key` is transparent.

    Pillow writes no transparent colour with 2, 4 or 3 x 16 bits.
    """
    row = np.repeat(np.array(samples, ">u2").reshape(2, -1), 4, axis=0).reshape(-1)
    if bits < 8:
        row = np.packbits(np.unpackbits(row.astype("u1")[:, None], axis=1)[:, -bits:])
    line = b"\0" + (row if bits == 16 else row.astype("u1")).tobytes()

    def chunk(name, content):
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", 8, 8, bits, colour_type, 0, 0, 0)
    chunks = {b"IHDR": header, b"tRNS": np.array(key, ">u2").tobytes()}
    chunks |= {b"IDAT": zlib.compress(line * 8), b"IEND": b""}
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*item) for item in chunks.items()))
    return path


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_png_of_each_depth(tmp_path, bits):
    other = 2**bits - 2
    path = write_png(tmp_path / "x.png", bits, GREY, [1, other], 1)
    grey = (other >> 8) if bits == 16 else other * 255 // (2**bits - 1)
    assert decoded(path) == [[255] * 3, [grey] * 3]
    assert decoded(path, channels=1) == [[255], [grey]]


def test_sixteen_bit_greys_that_differ_in_the_lower_bits_are_not_transparent(tmp_path):
    path = write_png(tmp_path / "x.png", 16, GREY, [512, 513], 512)
    assert decoded(path) == [[255] * 3, [2] * 3]


@pytest.mark.parametrize(("bits", "scale", "rest"), [(8, 1, 0), (16, 256, 77)])
def test_the_transparent_colour_of_a_png_of_each_depth(tmp_path, bits, scale, rest):
    colour, other = (np.array(rgb) * scale + rest for rgb in ([10, 20, 30], [200, 20, 30]))
    path = write_png(tmp_path / "x.png", bits, RGB, [colour, other], colour)
    assert decoded(path) == [[255] * 3, [200, 20, 30]]


def halves(mode):
    """An image of which the left half is transparent black and the right opaque grey 102."""
    alpha = np.repeat([0, 255], 4) * np.ones((8, 1))
    grey = Image.fromarray(np.where(alpha, 102, 0).astype("u1"))
    image = Image.merge("LA", (grey, Image.fromarray(alpha.astype("u1"))))
    return image.convert("RGBA").convert(mode) if mode in ALPHA else grey.convert(mode)


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("x.png", "LA", {}),
        ("x.png", "RGBA", {}),
        ("x.png", "P", {"transparency": 0}),
        ("x.png", "P", {"transparency": b"\0\xff"}),
        ("x.gif", "L", {"transparency": 0}),
        ("x.gif", "P", {"transparency": 0}),
        ("x.gif", "RGBA", {"save_all": True, "append_images": [Image.new("RGB", (8, 8))]}),
        ("x.webp", "RGBA", {"lossless": True}),
        *[("x.avif", "RGBA", {"quality": 100, "speed": 10})] * features.check("avif"),
        ("x.tif", "LA", {}),
        ("x.tif", "RGBA", {"compression": "tiff_lzw"}),
    ],
)
def test_transparent_pixels_of_each_format_are_white(tmp_path, name, mode, options):
    image = halves(mode)
    if mode == "P":  # its colours are at 0 and 1
        image.paste(1, (4, 0, 8, 8))
        image.putpalette([0, 0, 0, 102, 102, 102])
    image.save(tmp_path / name, **options)
    assert decoded(tmp_path / name) == [[255] * 3, [102] * 3]


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
def test_every_mode_with_alpha_lies_over_white(mode):
    """La, RGBa and PA are read from some TIFF files, by some versions of Pillow."""
    image = halves("LA" if mode == "La" else "RGBA").convert(mode)
    if mode == "PA":  # older versions of Pillow lose it there
        image.putalpha(halves("LA").getchannel("A"))
    white, grey = np.split(np.asarray(_images.over_white(image, "").convert("RGB")), 2, axis=1)
    assert (white == 255).all() and (grey == 102).all()


@pytest.mark.parametrize("mode", ["1", "L", "I", "I;16", "P", "RGB"])
def test_every_mode_with_a_transparent_colour_lies_over_white(mode):
    image = Image.new(mode.replace("RGB", "L"), (8, 8)).convert(mode)
    image.info["transparency"] = (0, 0, 0) if mode == "RGB" else 0
    assert (np.asarray(_images.over_white(image, "").convert("RGB")) == 255).all()


def test_greys_without_a_known_range_are_bad_files(tmp_path):
    files = [tmp_path / "float.tif", tmp_path / "wide.tif", tmp_path / "short.tif"]
    for file, value, kind in zip(files, (0.5, 70_000, 65_535), ("f4", "i4", "u2"), strict=True):
        Image.fromarray(np.full((8, 8), value, kind)).save(file)
    images, failures = _images.decode_all(files, 8)
    assert "from 0.5 to 0.5; save it with 8 bits" in failures[0]
    assert "7e+04" in failures[1]
    assert list(failures) == [0, 1]
    assert (images[2] == 255).all()


@pytest.mark.parametrize("target", ["L", "RGB"])
@pytest.mark.parametrize("mode", ["LAB", "CMYK", "YCbCr", "HSV", "RGBX", "1"])
def test_modes_without_transparency(mode, target):
    image = Image.new("RGB", (8, 8), "white").convert(mode)
    assert np.asarray(_images.over_white(image, "").convert(target)).min() >= 254
