"""Mixtures of Gaussians: their definitions in a config, and the points drawn from them."""

import hashlib

import numpy as np
import pytest

from ltdm.data import mixture
from ltdm.data._mixtures import (
    PRESETS,
    Gaussian,
    MixtureOption,
    MixtureSet,
    component_weights,
    draw_points,
)
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.options import parse
from tests.unit.data.test_data import load_and_check

LISTED = [
    {"wide": [{"mean": [0, 1], "std": 2}, {"mean": [3, 0], "std": [1, 0.5], "weight": 3}]},
    {"small": [{"mean": [0, 0]}]},
]


def parse_mixtures(value):
    return MixtureOption()(value, ("data", "classes"))


def test_name_of_a_preset_is_kept():
    for name, classes in PRESETS.items():
        assert parse_mixtures(name) == MixtureSet(name, classes)
        assert parse_mixtures(name).to_config() == name
        assert parse_mixtures(name).dimension == 2
    assert non_defaults(parse(mixture.Options, {"classes": "overlapping"})) == {}
    assert non_defaults(parse(mixture.Options, {"classes": "separated"})) == {
        "classes": "separated"
    }


def test_listed_classes():
    mixtures = parse_mixtures(LISTED)
    assert mixtures.classes == {
        "wide": (Gaussian((0.0, 1.0), (2.0, 2.0)), Gaussian((3.0, 0.0), (1.0, 0.5), 3.0)),
        "small": (Gaussian((0.0, 0.0), (1.0, 1.0)),),
    }
    assert list(mixtures.classes) == ["wide", "small"], "in the order of the labels"
    assert mixtures.to_config()[1] == {"small": [{"mean": [0.0, 0.0], "std": [1.0, 1.0]}]}
    assert parse_mixtures(mixtures.to_config()) == mixtures
    assert parse_mixtures(LISTED[::-1]).to_config() != mixtures.to_config()


def test_list_that_equals_a_preset_becomes_the_preset():
    overlapping = MixtureSet(None, PRESETS["overlapping"]).to_config()
    assert parse_mixtures(overlapping).to_config() == "overlapping"
    assert parse_mixtures(overlapping[::-1]).to_config() != "overlapping", "the labels differ"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("seperated", "classes: no preset is called 'seperated'; did you mean 'separated'?"),
        (3, "classes: must be overlapping, separated or a list of at least two classes"),
        (None, "classes: must be overlapping"),
        ({"a": [{"mean": [0]}], "b": [{"mean": [0]}]}, "classes: must be overlapping"),
        (LISTED[:1], "classes: must be overlapping"),
        ([LISTED[0], LISTED[0]], "classes.1.wide: is the name of two classes"),
        ([LISTED[0], "small"], "classes.1: must be a mapping"),
        ([LISTED[0], LISTED[1] | {"c": []}], "classes.1: must be one class"),
        ([LISTED[0], {1: [{"mean": [0, 0]}]}], "classes.1: key 1 must be text"),
        ([LISTED[0], {"": [{"mean": [0, 0]}]}], "classes.1: the name '' must be text in one line"),
        ([LISTED[0], {"a\nb": [{"mean": [0]}]}], r"classes.1: the name 'a\nb' must be text"),
        ([LISTED[0], {"b": []}], "classes.1.b: must be a list of at least one"),
        ([LISTED[0], {"b": {"mean": [0, 0]}}], "classes.1.b: must be a list of at least one"),
        ({"meen": [0, 0]}, "b.0.meen: unknown key; did you mean 'mean'?"),
        ({}, "b.0.mean: is missing"),
        ({"std": 1}, "b.0.mean: is missing"),
        ({"mean": 1}, "b.0.mean: must be a list"),
        ({"mean": []}, "b.0.mean: must have at least one dimension"),
        ({"mean": [0, "1"]}, "b.0.mean: must be a number, not '1'"),
        ({"mean": [0, 1e9]}, "b.0.mean: must be at most"),
        ({"mean": [0, float("nan")]}, "b.0.mean: must be a finite number"),
        ({"mean": [0, 0], "std": 0}, "b.0.std: must be above 0"),
        ({"mean": [0, 0], "std": [1, -1]}, "b.0.std: must be above 0"),
        ({"mean": [0, 0], "std": True}, "b.0.std: must be a number, not True"),
        ({"mean": [0, 0], "std": [1, 1, 1]}, "b.0.std: has 3 numbers, but the mean has 2"),
        ({"mean": [0, 0], "weight": 0}, "b.0.weight: must be above 0"),
        ({"mean": [0, 0], "weight": "1"}, "b.0.weight: must be a number, not '1'"),
        ({"mean": [0, 0, 0]}, "classes.1.b.0.mean: has 3 dimensions, but the first mean has 2"),
    ],
)
def test_errors_name_the_place(change, message):
    component = isinstance(change, dict) and "b" not in change
    with pytest.raises(OptionError) as caught:
        parse_mixtures([LISTED[0], {"b": [change]}] if component else change)
    assert message in str(caught.value)
    assert str(caught.value).startswith("data.classes")
    assert "\n" not in str(caught.value)


def test_points_of_one_dimension_are_rejected():
    with pytest.raises(OptionError, match=r"classes: has points of one dimension"):
        parse(mixture.Options, {"classes": [{"a": [{"mean": [0]}]}, {"b": [{"mean": [1]}]}]})


def test_weights_are_relative():
    components = (Gaussian((-9.0, 0.0), (1.0, 2.0), 3.0), Gaussian((9.0, 5.0), (0.5, 1.0), 1.0))
    assert component_weights(components).tolist() == [0.75, 0.25]
    points = draw_points(components, 40_000, np.random.default_rng(0))
    left = points[:, 0] < 0
    assert left.mean() == pytest.approx(0.75, abs=0.01)
    for part, component in zip((points[left], points[~left]), components, strict=True):
        np.testing.assert_allclose(part.mean(0), component.mean, atol=0.05)
        np.testing.assert_allclose(part.std(0), component.std, rtol=0.03)


def test_default_points_are_those_of_earlier_versions():
    loaded = mixture.load(mixture.Options(points_per_class=37, point_seed=3), "train")
    digest = hashlib.sha256(loaded.images.tobytes()).hexdigest()
    assert digest.startswith("a728542f7a5ae45f")


def test_other_classes_and_dimensions():
    three = [{"a": [{"mean": [0, 0, 0]}]}, {"b": [{"mean": [1, 2, 3]}]}, {"c": [{"mean": [4] * 3}]}]
    options = parse(mixture.Options, {"classes": three, "points_per_class": 20})
    assert load_and_check(mixture, options).images.shape == (60, 3, 1, 1)
    assert mixture.describe(options).names == ["a", "b", "c"]
    loaded = load_and_check(mixture, parse(mixture.Options, {"classes": "separated"}))
    for label, middle in ((0, -4), (1, 4)):
        mean = loaded.images[loaded.labels == label, :, 0, 0].mean(0)
        np.testing.assert_allclose(mean, (middle, 0), atol=0.05)
