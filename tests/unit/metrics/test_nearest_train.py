"""The nearest training images against brute force, bitwise."""

import numpy as np
import pytest
import torch

from ltdm.metrics import _nearest_train

RNG = np.random.default_rng(0)
TRAIN = RNG.integers(0, 256, (90, 3, 6, 6), dtype=np.uint8)
GENERATED = RNG.integers(0, 256, (40, 3, 6, 6), dtype=np.uint8)


def brute_force(images, train, n, flip):
    """Compare all pairs, in integers; ties by row number."""
    flat = images.reshape(len(images), 1, -1).astype(np.int64)
    variants = [np.square(flat - x.reshape(len(x), -1)).sum(2) for x in (train, train[..., ::-1])]
    mirrored = (variants[1] < variants[0]) & flip
    squared = np.where(mirrored, variants[1], variants[0])
    index = squared.argsort(axis=1, kind="stable")[:, :n]
    squared, mirrored = (np.take_along_axis(a, index, 1) for a in (squared, mirrored))
    return squared / 255**2, index, mirrored


def assert_equal_arrays(nearest, expected):
    for actual, desired in zip(nearest, expected, strict=True):
        np.testing.assert_array_equal(actual, desired)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("n", [2, 50, 90])
def test_the_nearest_agree_with_brute_force(n, flip):
    nearest = _nearest_train.find_nearest(GENERATED, TRAIN, n, flip)
    assert_equal_arrays(nearest, brute_force(GENERATED, TRAIN, n, flip))
    assert [a.dtype for a in nearest] == [np.float64, np.int32, np.bool_]
    assert nearest.mirrored.any() == flip


@pytest.mark.parametrize("levels", [2, 255])
@pytest.mark.parametrize(("block", "elements", "cut"), [(7, 2**24, 2**10), (4096, 40, 3)])
def test_block_sizes_change_nothing_even_among_ties(monkeypatch, levels, block, elements, cut):
    """With two levels and four pixels, most distances are ties."""
    images, train = (x[:, :1, :2, :2] % levels for x in (GENERATED, TRAIN))
    one_block = _nearest_train.find_nearest(images, train, 20, True)
    assert_equal_arrays(one_block, brute_force(images, train, 20, True))
    for name, value in {
        "BLOCK_IMAGES": block,
        "BLOCK_PIXELS": elements,
        "EXACT_PIXELS": cut,
    }.items():
        monkeypatch.setattr(_nearest_train, name, value)
    blocks = _nearest_train.find_nearest(images, train, 20, True)
    assert [a.tobytes() for a in blocks] == [a.tobytes() for a in one_block]


def test_large_similar_images_need_exact_sums():
    """Bright images that differ by one level in some pixels, and black ones."""
    train = np.full((300, 3, 99, 99), 255, np.uint8)
    train[::3] = 0
    for i in range(300):
        train[i].flat[i % 7 : 2 * i : 2] ^= 1
    generated = np.full((2, 3, 99, 99), 255, np.uint8)
    generated[1, 0, 0, 0] = 0
    nearest = _nearest_train.find_nearest(generated, train, 20, False)
    assert_equal_arrays(nearest, brute_force(generated, train, 20, False))


def test_points_and_a_gpu_without_memory(monkeypatch):
    points = [RNG.normal(size=(n, 2, 1, 1)).astype(np.float32) for n in (30, 80)]
    search, devices = _nearest_train._nearest_by_points, []

    def fail_once(variants, x, n):
        devices.append(x.device)
        if len(devices) == 1:
            raise torch.OutOfMemoryError
        return search(variants, x, n)

    monkeypatch.setattr(_nearest_train, "_nearest_by_points", fail_once)
    squared, index, _ = _nearest_train.find_nearest(*points, 60, False)
    generated, train = (p.reshape(len(p), 2).astype(np.float64) for p in points)
    all_pairs = np.square(generated[:, None] - train).sum(2)
    np.testing.assert_allclose(squared, np.sort(all_pairs, axis=1)[:, :60], rtol=1e-14)
    assert (index == all_pairs.argsort(axis=1)[:, :60]).all()
    assert devices[-1].type == "cpu"
