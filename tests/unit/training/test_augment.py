"""The augmentation against a plain per-image reference, and its condition."""

import math

import numpy as np
import pytest
import torch

from ltdm.training.augment import CONDITION_DIM, condition, draw_parameters, inverse_affine, warp


def parameters(**values):
    """Return one image's a0 .. a7, zeros where not given."""
    a = np.zeros((1, 8))
    for name, value in values.items():
        a[0, int(name[1])] = value
    return a


def augmented(x, a):
    """Return the images x after the batched operation, in float64."""
    affine = torch.from_numpy(inverse_affine(a, x.shape[-1]).astype(np.float64))
    return warp(torch.from_numpy(x), affine).numpy()


def reference(image, a):
    """Augment one image (C, S, S): a product of matrices, then 16 pixels per target pixel."""
    side = image.shape[-1]

    def shift(x, y):
        return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])

    def scale(x, y):
        return np.diag([x, y, 1.0])

    def rotate(t):
        return np.array([[math.cos(t), -math.sin(t), 0], [math.sin(t), math.cos(t), 0], [0, 0, 1]])

    s, c = 2**0.2, side / 2 - 0.5
    factors = [
        shift(c, c),
        scale(1 - 2 * a[0], 1),
        scale(1, 1 - 2 * a[1]),
        scale(s ** a[2], s ** a[2]),
        rotate(-a[3]),
        rotate(a[4]),
        scale(s ** a[5], s ** -a[5]),
        rotate(-a[4]),
        shift(side / 8 * a[6], side / 8 * a[7]),
        shift(-c, -c),
    ]
    back = np.linalg.inv(np.linalg.multi_dot(factors))

    def kernel(t):
        t = abs(t)
        if t < 1:
            return 1.5 * t**3 - 2.5 * t**2 + 1
        return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0

    def mirror(i):
        while not 0 <= i < side:
            i = -i if i < 0 else 2 * (side - 1) - i
        return i

    result = np.zeros_like(image)
    for row in range(side):
        for column in range(side):
            x, y, _ = back @ (column, row, 1)
            for j in range(math.floor(y) - 1, math.floor(y) + 3):
                for i in range(math.floor(x) - 1, math.floor(x) + 3):
                    weight = kernel(x - i) * kernel(y - j)
                    result[:, row, column] += weight * image[:, mirror(j), mirror(i)]
    return result


def test_equals_the_reference_image_by_image():
    rng = np.random.default_rng(0)
    x, a = rng.normal(size=(12, 3, 8, 8)), draw_parameters(12, 0.8, rng)
    expected = np.stack([reference(image, one) for image, one in zip(x, a, strict=True)])
    np.testing.assert_allclose(augmented(x, a), expected, atol=2e-5)


def test_orientation():
    x = np.random.default_rng(0).normal(size=(1, 3, 32, 32))
    assert (augmented(x, parameters()) == x).all()
    assert (augmented(x, parameters(a0=1)) == x[..., ::-1]).all(), "an exact mirror"
    assert (augmented(x, parameters(a1=1)) == x[:, :, ::-1]).all()
    right = augmented(x, parameters(a6=1))
    np.testing.assert_allclose(right[..., 4:], x[..., :-4], atol=1e-6)
    down = augmented(x, parameters(a7=1))
    np.testing.assert_allclose(down[..., 4:, :], x[..., :-4, :], atol=1e-6)
    turned = augmented(x, parameters(a3=math.pi / 2))
    np.testing.assert_allclose(turned, np.rot90(x, 1, (2, 3)), atol=1e-4)  # anticlockwise
    larger = augmented(x, parameters(a2=2))
    disc = np.hypot(*(np.mgrid[:32, :32] - 15.5)) < 8
    grown = augmented(np.where(disc, 1.0, 0.0)[None, None], parameters(a2=2))
    assert larger.shape == x.shape
    assert grown.sum() == pytest.approx(disc.sum() * 2**0.8, rel=0.05), "enlarged by 2^0.4"


def test_edges_are_mirrored_and_values_may_overshoot():
    x = np.zeros((1, 1, 8, 8))
    x[..., 1] = 1.0
    shifted = augmented(x, parameters(a6=2))  # two pixels right
    assert shifted[0, 0, 0].tolist() == [0, 1, 0, 1, 0, 0, 0, 0], "no edge pixel is repeated"
    step = np.zeros((1, 1, 8, 8))
    step[..., 4:] = 1.0
    soft = augmented(step, parameters(a6=0.5))
    assert soft.min() < -0.01 and soft.max() > 1.01


def test_the_condition():
    a = np.array([[1, 0, 0.3, 0.5, 1.1, 0.7, -0.2, 0.4]])
    rotation = [math.cos(0.5) - 1, math.sin(0.5)]
    stretch = [0.7 * math.cos(1.1), 0.7 * math.sin(1.1)]
    expected = [1, 0, 0.3, *rotation, *stretch, -0.2, 0.4]
    assert condition(a).dtype == np.float32
    np.testing.assert_allclose(condition(a)[0], expected, rtol=1e-6)
    assert not condition(parameters()).any(), "zeros for an unchanged image"
    assert condition(a).shape[1] == CONDITION_DIM


def test_the_distribution_of_the_draws():
    n = 40_000
    a = draw_parameters(n, 0.12, np.random.default_rng(0))
    tolerance = 4 * (0.25 / n) ** 0.5
    assert abs(a[:, 0].mean() - 0.5) < tolerance, "the mirror has no gate"
    assert abs(a[:, 1].mean() - 0.06) < tolerance
    for column in (2, 3, 4, 5, 6, 7):
        assert abs((a[:, column] != 0).mean() - 0.12) < tolerance
    assert ((a[:, 4] != 0) == (a[:, 5] != 0)).all(), "direction and stretch share a gate"
    assert ((a[:, 6] != 0) == (a[:, 7] != 0)).all()
    assert np.corrcoef(a[:, 2] != 0, a[:, 3] != 0)[0, 1] < 0.03, "other gates are independent"
    for column in (2, 5, 6, 7):
        assert a[a[:, column] != 0, column].std() == pytest.approx(1, rel=0.05)
    assert np.abs(a[:, 3:5]).max() == pytest.approx(math.pi, rel=0.01)
    assert not draw_parameters(10, 0.0, np.random.default_rng(0))[:, 1:].any()


def test_an_image_of_one_pixel_is_unchanged():
    x = np.random.default_rng(0).normal(size=(3, 2, 1, 1))
    np.testing.assert_allclose(
        augmented(x, draw_parameters(3, 1.0, np.random.default_rng(0))), x, atol=1e-12
    )
