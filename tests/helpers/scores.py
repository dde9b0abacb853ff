"""What tests of metrics share: bare features as samples, and values alone."""

import numpy as np

from ltdm.metrics._base import Sample


def sample(x, labels=None, probabilities=None):
    labels = np.zeros(len(x), np.int64) if labels is None else labels
    return Sample(x, labels, probabilities)


def value(metric, real, fake, **options):
    """The values alone, of bare features."""
    found = metric.score(sample(real), sample(fake), metric.Options(**options))
    return {name: one.value for name, one in found.items()}
