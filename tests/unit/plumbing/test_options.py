from dataclasses import dataclass

import pytest
import yaml

from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.option_values import locations, non_defaults
from ltdm.plumbing.options import option, parse
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
    ("given", "message"),
    [
        ({"rat": 1.0}, "rat: unknown key; did you mean 'rate'?"),
        ({"zzz": 1.0}, "zzz: unknown key; known: kind, levels, on, power, rate, root, steps"),
        ({"rate": "2e-4"}, "must be a number, not '2e-4' (write it without quotes)"),
        ({"steps": 1e3}, "must be a whole number, not 1000.0 (write 1000)"),
        ({"steps": "0"}, "without quotes"),
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
def test_refuses_in_one_sentence(given, message):
    with pytest.raises(OptionError) as caught:
        parse(Sample, given, ("train",))
    assert message in str(caught.value)
    assert str(caught.value).startswith("train")
    assert "\n" not in str(caught.value)


def test_required_option():
    @dataclass(frozen=True)
    class Needs:
        path: str = option(..., "A path.")

    with pytest.raises(OptionError, match="path: is missing"):
        parse(Needs, {})


def test_changed_leaves_out_defaults_however_they_are_written():
    assert non_defaults(parse(Sample, {"steps": 10, "rate": 1.0e-1, "levels": [1, 2]})) == {}
    assert non_defaults(parse(Sample, {"steps": 3, "rate": 1, "levels": [2]})) == {
        "levels": [2],
        "rate": 1.0,
        "steps": 3,
    }


def test_changed_round_trips():
    options = parse(Sample, {"power": 0.5, "on": True, "kind": "bee"})
    assert parse(Sample, non_defaults(options)) == options
    assert list(non_defaults(options)) == sorted(non_defaults(options))


def test_where_something_lies_is_no_part_of_what_it_is():
    options = parse(Sample, {"rate": 0.5, "root": "elsewhere"})
    assert non_defaults(options) == {"rate": 0.5}
    assert locations(options) == {"root": "elsewhere"}
    assert locations(Sample()) == {}


def words_of(schema):
    """All words that a schema lets a user choose from."""
    if isinstance(schema, list):
        return {word for one in schema for word in words_of(one)}
    if not isinstance(schema, dict):
        return set()
    own = {word for word in schema.get("enum", ()) if isinstance(word, str)}
    return own | {word for one in schema.values() for word in words_of(one)}


def test_every_word_to_choose_can_be_written_without_quotes():
    """YAML reads some words, such as off, as something else."""
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    words = words_of(schema)
    assert {"fp32", "natural", "none"} <= words
    assert [word for word in words if yaml.safe_load(word) != word] == []
