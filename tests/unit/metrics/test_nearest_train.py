"""The nearest training images against brute force, to the bit."""

import numpy as np
import pytest
import torch

from ltdm.metrics import _nearest_train

STREAM = np.random.default_rng(0)
TRAIN = STREAM.integers(0, 256, (90, 3, 6, 6), dtype=np.uint8)
MADE = STREAM.integers(0, 256, (40, 3, 6, 6), dtype=np.uint8)


def brute(images, train, n, flip):
    """All pairs, in whole numbers; ties by number."""
    flat = images.reshape(len(images), 1, -1).astype(np.int64)
    ways = [np.square(flat - x.reshape(len(x), -1)).sum(2) for x in (train, train[..., ::-1])]
    mirrored = (ways[1] < ways[0]) & flip
    squared = np.where(mirrored, ways[1], ways[0])
    index = squared.argsort(axis=1, kind="stable")[:, :n]
    squared, mirrored = (np.take_along_axis(a, index, 1) for a in (squared, mirrored))
    return squared / 255**2, index, mirrored


def assert_found(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("n", [2, 50, 90])
def test_the_nearest_are_those_of_brute_force(n, flip):
    found = _nearest_train.find_nearest(MADE, TRAIN, n, flip)
    assert_found(found, brute(MADE, TRAIN, n, flip))
    assert [a.dtype for a in found] == [np.float64, np.int32, np.bool_]
    assert found.mirrored.any() == flip


@pytest.mark.parametrize("levels", [2, 255])
@pytest.mark.parametrize(("block", "elements", "cut"), [(7, 2**24, 2**10), (4096, 40, 3)])
def test_blocks_change_nothing_even_among_ties(monkeypatch, levels, block, elements, cut):
    """Of two levels and four pixels, most distances are ties."""
    images, train = (x[:, :1, :2, :2] % levels for x in (MADE, TRAIN))
    whole = _nearest_train.find_nearest(images, train, 20, True)
    assert_found(whole, brute(images, train, 20, True))
    for name, value in {
        "BLOCK_IMAGES": block,
        "BLOCK_PIXELS": elements,
        "EXACT_PIXELS": cut,
    }.items():
        monkeypatch.setattr(_nearest_train, name, value)
    again = _nearest_train.find_nearest(images, train, 20, True)
    assert [a.tobytes() for a in again] == [a.tobytes() for a in whole]


def test_float32_would_not_do_where_images_are_alike_and_large():
    """Bright images that differ by a level in some pixels, beside black ones."""
    train = np.full((300, 3, 99, 99), 255, np.uint8)
    train[::3] = 0
    for i in range(300):
        train[i].flat[i % 7 : 2 * i : 2] ^= 1
    made = np.full((2, 3, 99, 99), 255, np.uint8)
    made[1, 0, 0, 0] = 0
    assert_found(_nearest_train.find_nearest(made, train, 20, False), brute(made, train, 20, False))


def test_memory_of_a_gpu_that_is_full_and_points(monkeypatch):
    points = [STREAM.normal(size=(n, 2, 1, 1)).astype(np.float32) for n in (30, 80)]
    plain, devices = _nearest_train._nearest_by_points, []

    def full(ways, x, n):
        devices.append(x.device)
        if len(devices) == 1:
            raise torch.OutOfMemoryError
        return plain(ways, x, n)

    monkeypatch.setattr(_nearest_train, "_nearest_by_points", full)
    squared, index, _ = _nearest_train.find_nearest(*points, 60, False)
    made, train = (p.reshape(len(p), 2).astype(np.float64) for p in points)
    every = np.square(made[:, None] - train).sum(2)
    np.testing.assert_allclose(squared, np.sort(every, axis=1)[:, :60], rtol=1e-14)
    assert (index == every.argsort(axis=1)[:, :60]).all()
    assert devices[-1].type == "cpu"
