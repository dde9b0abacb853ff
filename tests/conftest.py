"""Fixtures that all tests share."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _one_thread():
    """Keep results to the bit the same whatever the machine, and tests side by side quick."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_figures_left():
    """Close the figures that a test looked at: of more than twenty open ones matplotlib warns."""
    yield
    plt.close("all")


@pytest.fixture
def rng():
    """A seeded torch generator."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def features():
    """Two sets of correlated float64 features that differ in mean and covariance."""
    stream = np.random.default_rng(0)
    mix = stream.normal(size=(12, 12))
    real = stream.normal(size=(150, 12)) @ mix
    fake = 1.2 * stream.normal(size=(110, 12)) @ mix + 0.3
    return real, fake
