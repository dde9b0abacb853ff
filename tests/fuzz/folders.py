"""Folders of images with odd names, links and leavings, as data and as an image set to score."""

import os
import unicodedata
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from ltdm.cli.stages import run_jobs
from ltdm.config.experiment import Experiment
from tests.fuzz._mutations import Rng, chance, ltdm, pick
from tests.helpers.smoke_config import edited

CUT = 40
NAMES = ("cat", "Dog", "0", "1", "007", "a b", "é", unicodedata.normalize("NFD", "é"), "日本", "-x")
NAMES += (
    "a\nb",
    "x" * 200,
    "$x$",
    "a,b",
    '"q"',
    "'",
    "#",
    "%s",
    "a;b",
    "..x",
    "x.",
    "~",
    "\t",
    "²",
)
NAMES += ("\x1b[31m", "\u202e", "\udcff", "a\\b", "*", "class-0", "all", "NaN", "null", "True")
LEAVINGS = (".DS_Store", "Thumbs.db", "desktop.ini", ".git", "__MACOSX", ".ipynb_checkpoints")
LEAVINGS += ("._cat", "@eaDir", "lost+found", ".directory", "notes.txt", "labels.csv", "x.zip")
ENDINGS = (".png", ".jpg", ".JPG", ".jpeg", ".webp", ".gif", ".bmp", ".txt", "", ".png.txt", ".npy")


def attempt(rng: Rng, folder: Path) -> str:
    """Prepare or score one odd folder."""
    root, done = folder / "images", []
    root.mkdir()
    classes = pick(rng, (1, 2, 3, 3, 3)) if chance(rng, 0.9) else 0
    for number in range(classes):
        fill(rng, root / class_name(rng, number, done), done)
    if chance(rng, 0.1):
        fill(rng, root, done)
    for _ in range(int(rng.integers(3))):
        places = [path for path in [root, *root.rglob("*")] if path.is_dir()]
        done.append(add_odd_entry(rng, pick(rng, places)))
    if chance(rng, 0.5):
        prepare_source(rng, folder, root)
    else:
        score(rng, folder, root)
    return "; ".join(done)


def class_name(rng: Rng, number: int, done: list[str]) -> str:
    """Return the name of a class's folder, one time in ten an odd one."""
    if chance(rng, 0.9):
        return str(number)
    done.append(repr(name := pick(rng, NAMES)))
    return name


def fill(rng: Rng, folder: Path, done: list[str]) -> None:
    """Write a few images into a folder; at times one of another size, kind or name."""
    folder.mkdir(exist_ok=True)
    for number in range(int(rng.integers(2, 5))):
        name, content = f"{number}.png", png(8)
        if chance(rng, 0.02):
            name = (pick(rng, NAMES) + pick(rng, ENDINGS))[:250]
            done.append(repr(name))
        if chance(rng, 0.02):
            content = pick(rng, (png(9), png(8)[:40], b"", b"text", rng.bytes(50)))
            done.append(f"{len(content)} bytes")
        (folder / name).write_bytes(content)


@cache
def png(side: int) -> bytes:
    """Return the bytes of a square PNG."""
    buffer = BytesIO()
    pixels = np.arange(side * side * 3, dtype="u1").reshape(side, side, 3)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def add_odd_entry(rng: Rng, place: Path) -> str:
    """Put something into a folder that is no image and no class; return what."""
    kind = pick(rng, ("leaving", "empty", "loop", "dangling", "up", "link", "fifo", "mode", "deep"))
    path = place / pick(rng, LEAVINGS if kind == "leaving" else (*NAMES, *LEAVINGS, "9", "z.png"))
    if path.exists() or path.is_symlink():
        return "nothing"
    if kind == "leaving":
        if chance(rng, 0.5):
            path.mkdir()
            (path / "._0.png").write_bytes(b"\0\5\26\7")
        else:
            path.write_bytes(b"x")
    elif kind == "empty":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "mode":
        place.chmod(pick(rng, (0, 0o300, 0o555)))
    elif kind == "deep":
        (path / "a/b").mkdir(parents=True)
        (path / "a/b/0.png").write_bytes(png(8))
    else:
        target = {"loop": path.name, "dangling": "gone", "up": "..", "link": "0"}[kind]
        path.symlink_to(target)
    return f"{kind} {path.name!r}"


def prepare_source(rng: Rng, folder: Path, root: Path) -> None:
    """Check a config with the folder as its data, and prepare them."""
    source = {
        "source": "folder",
        "root": str(root if chance(rng, 0.97) else pick(rng, (root / "0", root / "gone", Path()))),
        "resolution": 8,
        "on_bad_file": pick(rng, ("error", "skip")),
        "imbalance": pick(rng, (1, 0.5)),
    }
    config = edited("datasets/digits-lt", source)
    config["defaults"]["sample"]["num_images"] = 420
    config["defaults"]["train"]["batch_size"] = 1
    config["evaluate"] |= {"metrics": ["frechet"], "table_columns": ["frechet"]}
    run_jobs(Experiment(config, folder), "prepare")


def score(rng: Rng, folder: Path, root: Path) -> None:
    """Score the folder against good images, or against itself."""
    good = folder / "good.npz"
    images = rng.integers(0, 256, (9, 8, 8, 3)).astype("u1")
    np.savez(good, images=images, labels=np.arange(9) % 3)
    first, second = pick(rng, ((root, good), (good, root), (root, root)))
    options = ["--extractor", "pixels", "--metric", "frechet", "--cache-dir", folder / "cache"]
    ltdm("score", first, "--reference", second, *options)
