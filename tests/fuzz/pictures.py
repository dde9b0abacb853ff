"""Spoilt pictures of every format and mode: cut, flipped, spliced, with EXIF of nonsense."""

import functools
import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, features

from ltdm.data import folder as folder_source
from ltdm.external import images as image_sets

CUT = 20
FILES = 50  # pictures of an attempt
SIDE = 12
EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif")
MODES = ("1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "LAB", "I;16", "F", "RGBa", "PA", "I")
SAVINGS = (
    ("PNG", MODES, {}),
    ("PNG", ("L", "P"), {"transparency": 7}),
    ("PNG", ("P",), {"bits": 4}),
    ("JPEG", MODES, {}),
    ("JPEG", ("L", "RGB"), {"progressive": True}),
    ("WEBP", ("RGB", "RGBA"), {}),
    ("WEBP", ("RGB", "RGBA"), {"lossless": True}),
    ("GIF", ("1", "L", "P", "RGB", "RGBA"), {}),
    ("GIF", ("L", "P"), {"transparency": 7, "save_all": True}),
    ("TIFF", MODES, {}),
    ("TIFF", ("L", "RGBA", "I;16"), {"compression": "tiff_lzw"}),
    ("TIFF", ("L", "RGBA", "I;16"), {"compression": "tiff_deflate"}),
    ("TIFF", ("L", "RGB"), {"compression": "jpeg"}),
    ("TIFF", ("1",), {"compression": "group4"}),
    ("BMP", ("1", "L", "P", "RGB", "RGBA"), {}),
    ("AVIF", ("L", "RGB", "RGBA"), {"speed": 10}),
)
"""Format, modes of images, and options of saving them."""
TAGS = (0x0112, 0x011A, 0x011B, 0x0128, 0x8769, 0x8825, 0x927C, 0xA005, 0x010F, 0x9286, 0x014A)
TYPES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 0: 1}
"""Bytes of a value of each type of EXIF; 0 is no type."""


def attempt(rng: np.random.Generator, folder: Path) -> str:
    """Read a folder of two classes of spoilt pictures, as a source or as a set to score."""
    for i in range(FILES):
        path = folder / "ab"[i % 2] / f"{i}{rng.choice(EXTENSIONS)}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(spoilt(rng))
    reader = rng.choice(["skip", "skip", "error", "score"])
    if reader == "score":
        images = image_sets.read_images(folder).images
    else:
        channels = int(rng.choice([1, 3]))
        options = folder_source.Options(
            root=str(folder), resolution=8, channels=channels, on_bad_file=reader
        )
        images = folder_source.load(options, "train").images
    return f"{reader}: {len(images)} of {FILES} pictures"


def spoilt(rng: np.random.Generator) -> bytes:
    """Return the bytes of a random picture after up to three random faults."""
    pool = healthy()
    data = pool[rng.integers(len(pool))]
    if rng.random() < 0.4:
        data = with_exif(data, exif_block(rng))
    faults = (_flip, _cut, _insert, _overwrite, _swap, _splice)
    for _ in range(rng.integers(4)):
        data = faults[rng.integers(len(faults))](data, rng)
    return _repair_checksums(data) if rng.random() < 0.5 else data


@functools.cache
def healthy() -> list[bytes]:
    """Return a picture of each format, mode and way of saving that Pillow can write."""
    rng, files = np.random.default_rng(0), []
    rgba = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8))
    for name, modes, saving in SAVINGS if features.check("avif") else SAVINGS[:-1]:
        for mode in modes:
            image = rgba if mode in ("RGBA", "RGBa", "LA", "PA") else rgba.convert("RGB")
            image = (image.convert("I") if mode == "I;16" else image).convert(mode)
            out = io.BytesIO()
            try:
                image.save(out, name, **saving)
            except (OSError, ValueError, KeyError):
                continue  # the format has no such mode
            files.append(out.getvalue())
    return files


def exif_block(rng: np.random.Generator) -> bytes:
    """Return EXIF with tags that stand twice, have odd types and counts, and point anywhere."""
    end = rng.choice(["<", ">"])
    tags = [int(tag) for tag in rng.choice(TAGS, rng.integers(9))]
    tags += tags[:1] if rng.random() < 0.4 else []
    body, values, start = b"", b"", 8 + 2 + 12 * len(tags) + 4
    for tag in tags:
        kind = int(rng.choice(list(TYPES)))
        count = int(rng.choice([0, 1, 1, 1, 2, 3, 5, 70_000, 2**31]))
        size = TYPES[kind] * count
        value = rng.bytes(4) if rng.random() < 0.3 else struct.pack(f"{end}HH", rng.integers(10), 0)
        if size > 4 and rng.random() < 0.8:
            value = struct.pack(f"{end}I", start + len(values))
            values += rng.bytes(min(size, 64))
        body += struct.pack(f"{end}HHI", tag, kind, count) + value
    head = (b"II*\0" if end == "<" else b"MM\0*") + struct.pack(f"{end}IH", 8, len(tags))
    following = struct.pack(f"{end}I", rng.choice([0, 8, 3000]))
    return head + body + following + values


def with_exif(data: bytes, exif: bytes) -> bytes:
    """Return a JPEG, PNG or WebP with EXIF; other formats as they are."""
    if data[:2] == b"\xff\xd8":
        start = 2 if exif[-1] % 2 else 4 + int.from_bytes(data[4:6], "big")  # before or after JFIF
        head = b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0"
        return data[:start] + head + exif + data[start:]
    if data[:4] == b"\x89PNG":
        chunk = _png_chunk(b"eXIf", exif)
        return data[:33] + chunk + data[33:]
    if data[:4] == b"RIFF":
        data += b"EXIF" + struct.pack("<I", len(exif)) + exif + bytes(len(exif) % 2)
        if data[12:16] == b"VP8X":
            data = data[:20] + bytes([data[20] | 8]) + data[21:]
        return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    return data


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    """Change one bit, more often than not in the first 200 bytes, which declare the rest."""
    reach = len(data) if rng.random() < 0.4 else min(len(data), 200)
    values = bytearray(data)
    if reach:
        values[rng.integers(reach)] ^= 1 << int(rng.integers(8))
    return bytes(values)


def _overwrite(data: bytes, rng: np.random.Generator) -> bytes:
    """Replace four bytes by an extreme number, such as a huge declared size."""
    start = int(rng.integers(len(data) + 1)) if rng.random() < 0.4 else int(rng.integers(60))
    number = (bytes(4), b"\xff" * 4, b"\0\0\x40\0", b"\x7f\xff\xff\xff")[rng.integers(4)]
    return data[:start] + number + data[start + 4 :]


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data) + 1)]


def _insert(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data) + 1))
    return data[:start] + rng.bytes(int(rng.integers(1, 30))) + data[start:]


def _swap(data: bytes, rng: np.random.Generator) -> bytes:
    """Exchange two neighbouring pieces."""
    a, b, c = sorted(int(i) for i in rng.integers(len(data) + 1, size=3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _splice(data: bytes, rng: np.random.Generator) -> bytes:
    """Begin as one picture and end as another."""
    pool = healthy()
    return _cut(data, rng) + pool[rng.integers(len(pool))][int(rng.integers(100)) :]


def _png_chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def _repair_checksums(data: bytes) -> bytes:
    """Return a PNG whose chunks have right checksums, as far as it can be followed."""
    if data[:4] != b"\x89PNG":
        return data
    out, rest = data[:8], data[8:]
    while len(rest) >= 12 and (length := int.from_bytes(rest[:4], "big")) <= len(rest) - 12:
        out += _png_chunk(rest[4:8], rest[8 : 8 + length])
        rest = rest[12 + length :]
    return out + rest
