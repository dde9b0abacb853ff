"""The two halves of a reference: scores are reported on one, and settings chosen on the other.

A setting that is chosen by the score that is then reported, such as the guidance weight, is fitted
to the reference. So each class gives half of its real images to the `reporting` half and the others
to the `tuning` half.

The halves are drawn per class, and the same for all networks: one setting is chosen for all seeds
of a run, so with halves of their own it would be chosen on images that other seeds report on.
"""

import numpy as np

from ltdm.core.seeding import derive_seed
from ltdm.metrics._base import Sample
from ltdm.plumbing.errors import LtdmError

REPORTING, TUNING = "reporting", "tuning"
REFERENCE_SEED = 0
TOO_SMALL = "has one real image, and the halves of the reference need two of each class"


def half_of(real: Sample, half: str) -> Sample:
    """Return one half of the real images, in their order; of an odd number `tuning` gets fewer.

    It depends on the labels and their order alone, so the features of all extractors have the same
    halves.

    Raises:
        LtdmError: A class has a single image.
    """
    is_tuning = np.zeros(len(real.labels), bool)
    for label in np.unique(real.labels):
        rows = np.flatnonzero(real.labels == label)
        if len(rows) == 1:
            raise LtdmError(f"class {label} {TOO_SMALL}; set evaluate.tuning_half to false")
        seed = derive_seed("tuning half", REFERENCE_SEED, int(label))
        is_tuning[np.random.default_rng(seed).permutation(rows)[: len(rows) // 2]] = True
    return real.select(is_tuning == (half == TUNING))


def note_of(half: str) -> str:
    """Return the note of values against a half of the reference."""
    return f"{half} half"
