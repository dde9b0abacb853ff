"""An old key, value or environment variable is refused by a sentence that names the new one."""

from dataclasses import dataclass

import pytest

from ltdm.config.merge import read_config
from ltdm.plumbing import renamed
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.options import option, parse


@dataclass(frozen=True)
class Options:
    steps: int = option(1, "Steps.")
    kind: str = option("ada", "Kind.", choices=("none", "ada"))


@pytest.fixture(autouse=True)
def _example_table(monkeypatch):
    monkeypatch.setitem(renamed.KEYS, "moves", ("paces", "steps"))
    monkeypatch.setitem(renamed.VALUES, "carras", ("ada",))


@pytest.mark.parametrize(
    ("config", "place", "new"),
    [({"moves": 3}, ("moves",), "'steps'"), ({"kind": "carras"}, ("kind",), "'ada'")],
)
def test_an_old_key_or_value_is_refused_with_the_new_one(config, place, new):
    with pytest.raises(OptionError, match=f"called {new} now") as error:
        parse(Options, config)
    assert error.value.path == place


@pytest.mark.parametrize(("old", "new"), renamed.VARIABLES.items())
def test_an_old_environment_variable_is_refused_when_a_config_is_read(
    old, new, monkeypatch, tmp_path
):
    (tmp_path / "c.yaml").write_text("a: 1")
    assert read_config([tmp_path / "c.yaml"]) == {"a": 1}
    monkeypatch.setenv(old, "1")
    with pytest.raises(LtdmError, match=f"{old} is called {new} now; unset"):
        read_config([tmp_path / "c.yaml"])


@pytest.mark.parametrize("old", renamed.REMOVED)
def test_a_removed_key_is_refused_with_what_to_do(old):
    with pytest.raises(OptionError, match=r"was removed: .*leave it out") as error:
        parse(Options, {old: 1})
    assert error.value.path == (old,)


def test_no_name_is_both_an_old_and_a_new_one_of_itself():
    """Otherwise a user who follows the advice would get it again."""
    for old, new in (*renamed.KEYS.items(), *renamed.VALUES.items()):
        assert old not in new
    assert not {*renamed.REMOVED} & {*renamed.KEYS}
