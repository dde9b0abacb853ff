"""Samples made of features alone, and values of metrics, for tests of metrics."""

import numpy as np

from ltdm.metrics._base import Sample


def sample(x, labels=None, probabilities=None):
    """Return features (N, d) as a sample, of one class by default."""
    labels = np.zeros(len(x), np.int64) if labels is None else labels
    return Sample(x, labels, probabilities)


def value(metric, real, fake, **options):
    """Return a metric's values by name, without errors, from features (N, d)."""
    estimates = metric.score(sample(real), sample(fake), metric.Options(**options))
    return {name: estimate.value for name, estimate in estimates.items()}
