"""Options: parsing, the sentences that refuse a value, and their plain YAML values."""

from dataclasses import dataclass

import pytest
import yaml

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.option_values import locations, non_defaults
from ltdm.plumbing.options import option, parse, suggest
from tests.conftest import ROOT


@dataclass(frozen=True)
class Sample:
    rate: float = option(0.1, "A rate.", above=0, high=1)
    steps: int = option(10, "Steps.", low=1)
    kind: str = option("a", "Kind.", choices=("a", "bee"))
    levels: tuple[int, ...] = option((1, 2), "Levels.", low=0)
    on: bool = option(False, "On.")
    power: float | None = option(None, "Power.")
    root: str = option("here", "Where.", location=True)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"rat": 1.0}, "rat: unknown key; did you mean 'rate'?"),
        ({"zzz": 1.0}, "zzz: unknown key; known: kind, levels, on, power, rate, root, steps"),
        ({"rate": "2e-4"}, "must be a number, not '2e-4' (write it without quotes)"),
        ({"steps": 1e3}, "must be a whole number, not 1000.0 (write 1000)"),
        ({"steps": "0"}, "without quotes"),
        ({"steps": "010"}, "must be a whole number, not '010' (write 10)"),
        ({"steps": 1.5}, "must be a whole number, not 1.5"),
        ({"steps": True}, "must be a whole number, not True"),
        ({"on": 1}, "must be true or false, not 1"),
        ({"kind": False}, "must be one of a, bee, not False"),
        ({"kind": "be"}, "'be' is not known; did you mean 'bee'?"),
        ({"rate": 0}, "must be above 0, not 0"),
        ({"rate": 2}, "must be at most 1, not 2"),
        ({"rate": float("nan")}, "not nan"),
        ({"steps": 0}, "must be at least 1, not 0"),
        ({"levels": 3}, "must be a list, not 3"),
        ({"levels": [1, -1]}, "must be at least 0, not -1"),
        ({"levels": [1, "x"]}, "must be a whole number, not 'x'"),
        ({True: 1}, "yes, no, on and off"),
        ([1], "must be a mapping"),
    ],
)
def test_a_wrong_option_is_refused_in_one_sentence(config, message):
    with pytest.raises(OptionError) as caught:
        parse(Sample, config, ("train",))
    assert message in str(caught.value)
    assert str(caught.value).startswith("train")
    assert "\n" not in str(caught.value)


def test_a_required_option_must_be_set():
    @dataclass(frozen=True)
    class Required:
        path: str = option(..., "A path.")

    with pytest.raises(OptionError, match="path: is missing"):
        parse(Required, {})


def test_non_defaults_leave_out_defaults_in_any_spelling():
    assert non_defaults(parse(Sample, {"steps": 10, "rate": 1.0e-1, "levels": [1, 2]})) == {}
    assert non_defaults(parse(Sample, {"steps": 3, "rate": 1, "levels": [2]})) == {
        "levels": [2],
        "rate": 1.0,
        "steps": 3,
    }


def test_non_defaults_are_parsed_to_the_same_options():
    options = parse(Sample, {"power": 0.5, "on": True, "kind": "bee"})
    assert parse(Sample, non_defaults(options)) == options
    assert list(non_defaults(options)) == sorted(non_defaults(options))


def test_locations_are_kept_apart_from_other_options():
    options = parse(Sample, {"rate": 0.5, "root": "elsewhere"})
    assert non_defaults(options) == {"rate": 0.5}
    assert locations(options) == {"root": "elsewhere"}
    assert locations(Sample()) == {}


def choices_of(schema):
    """Return all texts that a schema offers as choices."""
    if isinstance(schema, list):
        return {choice for entry in schema for choice in choices_of(entry)}
    if not isinstance(schema, dict):
        return set()
    own = {choice for choice in schema.get("enum", ()) if isinstance(choice, str)}
    return own | {choice for entry in schema.values() for choice in choices_of(entry)}


def test_a_location_may_begin_with_the_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert parse(Sample, {"root": "~/data"}).root == "/home/me/data"
    assert parse(Sample, {"root": "data/~x"}).root == "data/~x"


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("FID", ["frechet", "kid"], "did you mean 'frechet'?"),
        ("fid", ["kid", "recall"], "known: kid, recall"),
        ("CBDM", ["agc", "cbdm"], "did you mean 'cbdm'?"),
        ("LTDM_DEVCE", ["LTDM_DEVICE"], "did you mean 'LTDM_DEVICE'?"),
    ],
)
def test_a_hint_overlooks_case_and_knows_the_names_of_papers(name, known, hint):
    assert suggest(name, known) == hint


def test_every_choice_can_be_written_without_quotes():
    """YAML reads some words, such as off, as something else."""
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    choices = choices_of(schema)
    assert {"fp32", "natural", "none"} <= choices
    assert [choice for choice in choices if yaml.safe_load(choice) != choice] == []
