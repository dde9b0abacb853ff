"""The two halves of a reference."""

import numpy as np
import pytest

from ltdm.metrics._halves import REPORTING, TUNING, half_of
from ltdm.plumbing.errors import LtdmError
from tests.helpers.scores import sample

LABELS = np.repeat([0, 1, 2], [40, 7, 2])


def rows(labels, half):
    """The rows of a half, from features that number them."""
    numbers = np.arange(len(labels), dtype=np.float32)[:, None]
    kept = half_of(sample(numbers, labels, numbers + 0.5), half)
    assert (kept.probabilities == kept.features + 0.5).all()
    assert (kept.labels == labels[kept.features[:, 0].astype(int)]).all()
    return kept.features[:, 0].astype(int).tolist()


def test_each_image_is_in_one_half_and_each_class_in_both():
    tuning, reporting = rows(LABELS, TUNING), rows(LABELS, REPORTING)
    assert sorted(tuning + reporting) == [*range(49)]
    assert np.bincount(LABELS[tuning]).tolist() == [20, 3, 1]
    assert np.bincount(LABELS[reporting]).tolist() == [20, 4, 1]
    assert tuning[:20] != [*range(20)], "the halves are drawn"


def test_a_class_s_half_depends_on_no_other_class():
    alone = rows(LABELS[:40], TUNING)
    assert rows(LABELS, TUNING)[:20] == alone
    as_class_5 = rows(np.full(40, 5), TUNING)
    assert as_class_5 != alone, "each class has draws of its own"


def test_a_class_of_one_image_is_refused():
    with pytest.raises(LtdmError, match=r"class 4 has one real image.*evaluate\.tuning_half"):
        half_of(sample(np.zeros((3, 2)), np.array([4, 1, 1])), TUNING)
