"""An old key or value is refused by a sentence that names the new one."""

from dataclasses import dataclass

import pytest

from ltdm.plumbing import renamed
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import option, parse


@dataclass(frozen=True)
class Options:
    steps: int = option(1, "Steps.")
    kind: str = option("ada", "Kind.", choices=("none", "ada"))


@pytest.fixture(autouse=True)
def table(monkeypatch):
    monkeypatch.setitem(renamed.KEYS, "moves", ("paces", "steps"))
    monkeypatch.setitem(renamed.VALUES, "carras", ("ada",))


@pytest.mark.parametrize(
    ("given", "place", "new"),
    [({"moves": 3}, ("moves",), "'steps'"), ({"kind": "carras"}, ("kind",), "'ada'")],
)
def test_what_has_another_name_now(given, place, new):
    with pytest.raises(OptionError, match=f"called {new} now") as error:
        parse(Options, given)
    assert error.value.path == place


def test_no_new_name_is_another_one_s_old_name_in_the_same_place():
    """So that following the advice ends."""
    for old, new in (*renamed.KEYS.items(), *renamed.VALUES.items()):
        assert old not in new
