"""Refused options of the theory lab: each error names the place."""

import pytest

from ltdm.config.experiment import Experiment
from ltdm.plumbing.errors import OptionError
from tests.helpers.smoke_config import edited
from tests.unit.theory.test_uses import CLASSES_3D

HEUN_TYPO = {"name": "heun", "step": 4}


@pytest.mark.parametrize(
    ("sweeps", "place", "message"),
    [
        ([1], "theory", "must be a mapping of options, not [1]"),
        ({"My toy": {}}, "theory", "the name 'My toy' must be text of lower-case letters"),
        ({"toy": ["betas"]}, "theory.toy", "must be a mapping of options"),
        ({"toy": {"beta": [0]}}, "theory.toy.beta", "unknown key; did you mean 'betas'?"),
        (
            {"toy": {"betas": []}},
            "theory.toy.betas",
            "must list at least one value, in rising order",
        ),
        ({"toy": {"betas": [1, 0]}}, "theory.toy.betas", "in rising order"),
        ({"toy": {"betas": [0, 0]}}, "theory.toy.betas", "in rising order"),
        ({"toy": {"betas": [-1, 0]}}, "theory.toy.betas", "must be at least 0"),
        ({"toy": {"steps": [9, 3]}}, "theory.toy.steps", "in rising order"),
        ({"toy": {"tails": [9, 2000]}}, "theory.toy.tails", "must not be above head (1000)"),
        ({"toy": {"tails": [0]}}, "theory.toy.tails", "must be at least 1"),
        ({"toy": {"update_order": "sequentia"}}, "theory.toy.update_order", "sequential"),
        ({"toy": {"samplers": [HEUN_TYPO]}}, "theory.toy.samplers.0.step", "'steps'"),
        (
            {"toy": {"samplers": ["heun", {"name": "ddim", "steps": 1001}]}},
            "theory.toy.samplers.1.steps",
            "is 1001, but the process has only 1000 levels",
        ),
        (
            {"toy": {"samplers": ["heun", {"name": "timeshift", "window": 4}]}},
            "theory.toy.samplers.1.window",
            "needs the variance of an image's pixels",
        ),
        ({"toy": {"samplers": ["heun", "heun"]}}, "theory.toy.samplers", "names a sampler twice"),
        ({"toy": {"ridge": 0}}, "theory.toy.ridge", "must be above 0"),
        ({"toy": {"width": 4096}}, "theory.toy.width", "needs matrices of 2.7 GB"),
        ({"toy": {"figures": ["scores", "scores"]}}, "theory.toy.figures", "lists a figure twice"),
        ({"toy": {"figures": ["scors"]}}, "theory.toy.figures", "scores"),
        ({"toy": {"figures": ["v-curve"], "betas": [0]}}, "theory.toy.figures", "over betas"),
        ({"toy": {"figures": ["generalisation"]}}, "theory.toy.figures", "over tails"),
        (
            {"toy": {"figures": ["clouds"], "classes": CLASSES_3D}},
            "theory.toy.figures",
            "two dimensions",
        ),
        ({"toy": {"classes": "separate"}}, "theory.toy.classes", "did you mean 'separated'?"),
        (
            {"toy": {"classes": [*CLASSES_3D, {"worst": [{"mean": [0, 0, 0]}]}]}},
            "theory.toy.classes",
            "must not name a class worst",
        ),
        (
            {"toy": {"classes": CLASSES_3D[:1]}},
            "theory.toy.classes",
            "a list of at least two classes",
        ),
        (
            {"toy": {"classes": [{"a": [{"mean": [0]}]}, CLASSES_3D[1]]}},
            "theory.toy.classes.1.b.0.mean",
            "has 3 dimensions, but the first mean has 1",
        ),
    ],
)
def test_an_invalid_sweep_is_an_error_that_names_the_place(sweeps, place, message):
    with pytest.raises(OptionError) as error:
        Experiment(edited("theory", sweeps))
    start, _, sentence = str(error.value).partition(": ")
    assert start == place
    assert message in sentence
    assert "\n" not in sentence
