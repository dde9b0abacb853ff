"""Accuracy of the labels: the share of generated images that a classifier takes for their class.

Read beside it the classifier's own accuracy on held-out real images (extractors/classifier.json),
which is what a perfect model would get. A model that draws one good image of a class gets 1.
Source: Ravuri and Vinyals, "Classification Accuracy Score for Conditional Generative Models",
NeurIPS 2019, turn it round: they train on generated images. Here the classifier has seen real ones.
"""

from dataclasses import dataclass

from ltdm.metrics._base import Estimate, Sample, mean_estimate

CITATION = ""
HIGHER_IS_BETTER = {"accuracy": True}
INPUT = "classes"


@dataclass(frozen=True)
class Options:
    """None."""


def min_images(options: Options) -> int:
    """Return the fewest images a set may have."""
    return 1


def enough_images(n: int, d: int, classes: int, options: Options) -> bool:
    """Whether the value is unbiased: always."""
    return True


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return the accuracy of the generated labels; the real images are not looked at."""
    correct = fake.probabilities64().argmax(axis=1) == fake.labels
    return {"accuracy": mean_estimate(correct.astype(float), fake.labels)}
