"""The section `evaluate`: options that are refused."""

import pytest

from ltdm.config.experiment import Experiment
from ltdm.config.layout import RULES
from ltdm.config.requests import request
from ltdm.data import digits
from ltdm.pipeline.records import differences
from ltdm.plumbing.registry import parse_part
from ltdm.plumbing.request import to_record
from tests.helpers.smoke_config import check_refused, edited

SET = {"dataset": "digits-lt", "run": "ddpm", "seed": 0, "sample_set": "main"}


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
        (
            "metrics",
            ["frechet", {"name": "kid", "extractor": "pixel"}],
            "evaluate.metrics",
            "kid: `extractors` has no 'pixel'; did you mean 'pixels'?",
        ),
        (
            "metrics",
            ["frechet", {"name": "accuracy", "extractor": "pixels"}],
            "evaluate.metrics",
            "classes (classifier), and its extractor 'pixels' does not give them; name another",
        ),
        (
            "metrics",
            ["frechet", {"name": "memorization", "extractor": "pixels"}],
            "evaluate.metrics",
            "which no extractor gives; take its extractor 'pixels' out",
        ),
        ("metrics", [{"name": "kid", "extractors": "pixels"}], "0.extractors", "mean 'extractor'?"),
        ("metrics", [{"name": "kid", "extractor": 3}], "metrics.0.extractor", "must be text"),
        ("extractors", [{"name": "pixels", "extractor": "a"}], "0.extractor", "unknown key"),
        ("table_columns", ["kid"], "evaluate.table_columns", "nothing computes 'kid'"),
        ("table_columns", ["frechet@tial"], "evaluate.table_columns", "did you mean 'tail'?"),
        ("table_columns", ["frechet@class-99"], "evaluate.table_columns", "group 'class-99'"),
        ("table_columns", ["pr5.recall"], "evaluate.table_columns", "computes 'pr5.recall'"),
        ("table_columns", [], "evaluate.table_columns", "at least one column"),
        ("extractors", ["pixels", "pixels"], "evaluate.extractors", "twice"),
        ("extractors", ..., "evaluate.extractors", "is missing"),
        ("shot_bounds", [20, 100], "evaluate.shot_bounds", "the larger one first"),
        ("shot_bounds", [20], "evaluate.shot_bounds", "two numbers"),
        ("tuning_half", "yes", "evaluate.tuning_half", "must be true or false"),
        ("baseline", "dpdm", "evaluate.baseline", "did you mean 'ddpm'?"),
    ],
)
def test_an_option_is_refused_by_place_and_fault(key, value, place, word):
    check_refused(edited(f"evaluate/{key}", value), place, word)


def test_a_metric_may_name_its_extractor():
    """FID and IS by Inception, recall by VGG16, as in CORAL's table."""
    config = edited("evaluate/extractors", ["inception", "vgg16", {"name": "pixels", "label": "p"}])
    config["evaluate"]["metrics"] = [
        {"name": "frechet", "extractor": "inception"},
        "inception-score",
        {"name": "precision-recall", "k": 3, "extractor": "vgg16"},
        {"name": "precision-recall", "k": 5, "label": "pr5"},
        {"name": "kid", "extractor": "p"},
    ]
    columns = ["frechet", "inception-score", "recall", "pr5.recall", "kid"]
    config["evaluate"]["table_columns"] = columns
    evaluate = Experiment(config).evaluate
    assert [evaluate.spaces(metric) for metric in evaluate.metrics] == [
        ["inception"],
        ["inception"],
        ["vgg16"],
        ["inception", "vgg16", "p"],
        ["p"],
    ]
    used = [evaluate.extractor_of_column(column) for column in columns]
    assert used == ["inception", "inception", "vgg16", "inception", "p"]
    config = evaluate.metrics[2].to_config()
    assert config == {"name": "precision-recall", "extractor": "vgg16"}
    assert parse_part("metric", config, ()) == evaluate.metrics[2]


def test_to_name_the_extractor_that_a_metric_has_anyway_reruns_nothing():
    config = edited("evaluate/tuning_half", True)
    config["evaluate"]["extractors"] = ["classifier"]
    before = Experiment(config)
    config["evaluate"]["metrics"][0] = {"name": "frechet", "extractor": "classifier"}
    after = Experiment(config)
    for rule, wildcards in (("metrics", {**SET, "metric": "frechet"}), ("tuning_metrics", SET)):
        assert request(before, rule, wildcards) == request(after, rule, wildcards)


def test_a_choice_needs_a_score_against_real_images():
    for column in ("memorized-0.40", "accuracy"):
        config = edited("evaluate/tuning_half", True)
        config["evaluate"]["metrics"].append("accuracy")
        config["evaluate"]["table_columns"] = [column, "frechet"]
        check_refused(config, "evaluate.tuning_half", f"{column} is no score against real images")


def test_halves_need_two_real_images_of_each_class(monkeypatch):
    config = edited("evaluate/tuning_half", True)
    info = digits.describe(digits.Options())
    fewer = info._replace(class_counts=[*info.class_counts[:-1], 1])
    monkeypatch.setattr(digits, "describe", lambda options: fewer)
    config["datasets"]["digits-lt"] = {"source": "digits", "profile": "full"}
    config["evaluate"]["metrics"] = ["frechet"]
    config["evaluate"]["table_columns"] = ["frechet"]
    check_refused(config, "evaluate.tuning_half", "class 9 has one real image")


def test_only_scores_against_real_images_compare_with_a_half():
    requests = {}
    for tuning_half in (False, True):
        config = edited("evaluate/tuning_half", tuning_half)
        config["evaluate"]["metrics"].append("accuracy")
        config["evaluate"]["table_columns"] = ["frechet@tail", "precision"]
        experiment = Experiment(config)
        assert [*RULES["tuning_metrics"].jobs(experiment.plan)] == [] or tuning_half
        for metric in experiment.evaluate.metrics:
            wildcards = {**SET, "metric": metric.label}
            requests[tuning_half, metric.label] = request(experiment, "metrics", wildcards)
    for metric in ("memorization", "accuracy"):
        assert requests[True, metric] == requests[False, metric]
    for metric in ("frechet", "precision-recall"):
        whole, half = requests[False, metric], requests[True, metric]
        assert "half" not in whole["groups"]
        assert half == {**whole, "groups": {**whole["groups"], "half": "reporting"}}
        for old, new in ((whole, half), (half, whole)):
            assert differences(to_record(old), new, set()), "it is computed again"
    tuning = request(experiment, "tuning_metrics", SET)
    assert tuning == {
        **requests[True, "frechet"],
        "groups": {**requests[True, "frechet"]["groups"], "half": "tuning"},
        "extractors": ["classifier"],
        "where": SET,
    }
    overall = Experiment(edited("evaluate/tuning_half", True))
    settings = request(overall, "tuning_metrics", SET)["groups"]
    assert settings == {"kinds": ["all"], "half": "tuning"}
