"""The section `evaluate`: options that are refused."""

import pytest

from tests.helpers.smoke_config import check_refused, edited


@pytest.mark.parametrize(
    ("key", "value", "place", "word"),
    [
        ("metrics", ["frechet", "fid"], "evaluate.metrics.1.name", "no metric"),
        ("metrics", ["frechet", "frechet"], "evaluate.metrics", "a metric twice; give each a `lab"),
        ("metrics", [{"name": "kid", "label": "frechet"}], "metrics.0.label", "name of a metric"),
        ("metrics", [{"name": "kid", "label": "K/"}], "metrics.0.label", "lower-case letters"),
        (
            "metrics",
            ["frechet", "inception-score"],
            "evaluate.metrics",
            "inception-score reads Inception's class probabilities (inception, random-inception)",
        ),
        ("table_columns", ["kid"], "evaluate.table_columns", "nothing computes 'kid'"),
        ("table_columns", ["frechet@tial"], "evaluate.table_columns", "did you mean 'tail'?"),
        ("table_columns", ["frechet@class-99"], "evaluate.table_columns", "group 'class-99'"),
        ("table_columns", ["pr5.recall"], "evaluate.table_columns", "computes 'pr5.recall'"),
        ("table_columns", [], "evaluate.table_columns", "at least one column"),
        ("extractors", ["pixels", "pixels"], "evaluate.extractors", "twice"),
        ("extractors", ..., "evaluate.extractors", "is missing"),
        ("shot_bounds", [20, 100], "evaluate.shot_bounds", "the larger one first"),
        ("shot_bounds", [20], "evaluate.shot_bounds", "two numbers"),
        ("baseline", "dpdm", "evaluate.baseline", "did you mean 'ddpm'?"),
    ],
)
def test_an_option_is_refused_by_place_and_fault(key, value, place, word):
    check_refused(edited(f"evaluate/{key}", value), place, word)
