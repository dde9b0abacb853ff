"""Class counts and subsets of the long tail."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltdm.data._longtail import LongTail, class_counts, select_subset
from ltdm.plumbing.errors import LtdmError, OptionError


def select_ranks(classes, per_class, imbalance):
    """Return the ranks of the selected images within each class, for interleaved labels."""
    labels = np.tile(np.arange(classes), per_class)
    counts = class_counts(LongTail(imbalance=imbalance), [per_class] * classes)
    return np.split(select_subset(labels, counts, 0) // classes, np.cumsum(counts)[:-1])


@pytest.mark.parametrize(
    ("imbalance", "expected"),
    [
        (0.01, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]),
        (0.02, [5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100]),
        (0.05, [5000, 3584, 2569, 1842, 1320, 946, 678, 486, 348, 250]),
        (0.1, [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500]),
    ],
)
def test_cifar10_counts(imbalance, expected):
    assert class_counts(LongTail(imbalance=imbalance), [5000] * 10) == expected


@pytest.mark.parametrize(
    ("imbalance", "total", "last"), [(0.01, 10847, 5), (0.02, 12608, 10), (0.1, 19573, 50)]
)
def test_cifar100_counts(imbalance, total, last):
    counts = class_counts(LongTail(imbalance=imbalance), [500] * 100)
    assert (sum(counts), counts[0], counts[-1]) == (total, 500, last)


def test_subset_is_the_papers_own():
    state = np.random.get_state()[1].copy()
    ranks = select_ranks(10, 5000, 0.01)
    assert ranks[0][:8].tolist() == [398, 3833, 4836, 4572, 636, 2545, 1161, 2230]
    assert ranks[9][:8].tolist() == [2204, 3816, 2206, 2507, 1926, 4765, 368, 3808]
    digest = hashlib.sha256(np.concatenate(ranks).astype("<i8").tobytes()).hexdigest()
    assert digest == "8a54f5b6fa9722952358bc99897aa969bc20f845d0b15034e5013337df1e4ec7"
    ranks = select_ranks(100, 500, 0.01)
    assert ranks[99].tolist() == [348, 153, 363, 361, 299]
    digest = hashlib.sha256(np.concatenate(ranks).astype("<i8").tobytes()).hexdigest()
    assert digest == "f123ec136d44ab1b224fe55bb8a73ab03432d25a81975af68f26fb6777d5aca8"
    assert (np.random.get_state()[1] == state).all(), "the global stream was touched"


@pytest.mark.parametrize(
    ("options", "available", "expected"),
    [
        ({"profile": "step", "imbalance": 0.1}, [100] * 5, [100, 100, 10, 10, 10]),
        ({"profile": "balanced"}, [7, 10], [7, 8]),
        ({"profile": "balanced"}, [7], [7]),
        ({"profile": "full"}, [7, 10], [7, 10]),
        ({}, [100], [100]),
        ({"imbalance": 0.125, "class_order": (2, 0, 3, 1)}, [80] * 4, [40, 10, 80, 20]),
        ({"profile": "counts", "counts": (5, 9, 1)}, [9, 9, 9], [5, 9, 1]),
        ({"imbalance": 0.125, "max_per_class": 30}, [80] * 4, [30, 30, 20, 10]),
        ({"imbalance": 0.001, "min_per_class": 9}, [80, 80, 5], [55, 9, 5]),
        ({"imbalance": 0.5}, [10, 20, 30], [10, 14, 10]),
    ],
)
def test_class_counts(options, available, expected):
    assert class_counts(LongTail(**options), available) == expected


def test_minimum_per_class_fills_the_tail():
    counts = class_counts(LongTail(imbalance=0.001, min_per_class=3), [500] * 100)
    assert counts[-3:] == [3, 3, 3]


def test_class_order_changes_counts_and_not_the_choice_of_images():
    labels = np.tile(np.arange(4), 20)
    for order in ((0, 1, 2, 3), (3, 2, 1, 0)):
        counts = class_counts(LongTail(imbalance=0.2, class_order=order), [20] * 4)
        chosen = select_subset(labels, counts, 0)
        assert np.bincount(labels[chosen]).tolist() == counts
        everything = select_subset(labels, [20] * 4, 0)
        of_two = chosen[labels[chosen] == 2].tolist()
        assert of_two == everything[labels[everything] == 2].tolist()[: counts[2]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "counts", "counts": (5, 9)}, "counts: lists 2 classes, but the source has 3"),
        ({"profile": "counts", "counts": (5, 10, 1)}, "counts: requests 10 images of class 1"),
        ({"class_order": (0, 1)}, "class_order: lists 2 classes"),
        ({"class_order": (0, 1, 1)}, "class_order: must name each class from 0 to 2 once"),
        ({"profile": "counts"}, "counts: goes with `profile: counts`"),
        ({"counts": (1, 1, 1)}, "counts: goes with `profile: counts`"),
        ({"profile": "counts", "counts": (1, 1, 1), "class_order": (0, 1, 2)}, "has no meaning"),
        ({"profile": "balanced", "class_order": (0, 1, 2)}, "has no meaning"),
        ({"max_per_class": 3, "min_per_class": 4}, "max_per_class: is below min_per_class"),
    ],
)
def test_options_that_do_not_fit_are_rejected(options, message):
    with pytest.raises(OptionError, match=message):
        class_counts(LongTail(**options), [9, 9, 9])


def test_error_for_an_empty_class_names_the_smallest_valid_imbalance():
    with pytest.raises(
        OptionError, match=r"no image of 19 of 100 classes \(81-99\); set min_per_class: 1"
    ):
        class_counts(LongTail(imbalance=0.0005), [500] * 100)
    with pytest.raises(OptionError, match=r"\(0, 2-3\)"):
        class_counts(LongTail(imbalance=1e-4, class_order=(1, 4, 3, 2, 0)), [40] * 5)
    for most in (3, 179, 300, 500, 900, 5000):
        with pytest.raises(LtdmError) as caught:
            class_counts(LongTail(imbalance=1e-5), [most] * 100)
        smallest = float(str(caught.value).rsplit(" ", 1)[1])
        assert class_counts(LongTail(imbalance=smallest), [most] * 100)[-1] == 1


@given(st.integers(2, 50), st.integers(1, 300), st.floats(0.001, 1))
def test_exponential_profile_falls_to_the_imbalance(classes, most, imbalance):
    try:
        counts = class_counts(LongTail(imbalance=imbalance), [most] * classes)
    except LtdmError:
        assert most * imbalance < 1
        return
    assert counts[0] == most
    assert counts[-1] == int(most * imbalance)
    assert sorted(counts, reverse=True) == counts
