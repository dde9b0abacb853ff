"""Accuracy of the labels: the share of generated images that a classifier assigns to their label.

Compare it with the classifier's accuracy on held-out real images (extractors/classifier.json),
which a perfect model would reach. It ignores diversity: a model that repeats one good image per
class gets 1. Here the classifier is trained on real images.
Source: the reverse of Ravuri and Vinyals, "Classification Accuracy Score for Conditional Generative
Models", NeurIPS 2019, who train the classifier on generated images.
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
    """Return the smallest number of images in a set."""
    return 1


def enough_images(n: int, d: int, classes: int, options: Options) -> bool:
    """Whether the value is unbiased: always."""
    return True


def score(real: Sample, fake: Sample, options: Options) -> dict[str, Estimate]:
    """Return the accuracy of the generated images' labels; `real` is not used."""
    correct = fake.probabilities64().argmax(axis=1) == fake.labels
    return {"accuracy": mean_estimate(correct.astype(float), fake.labels)}
