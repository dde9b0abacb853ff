"""YAML whose tags, aliases or nesting cannot be read is refused by its line."""

import pytest

from ltdm.config.merge import read_config
from ltdm.plumbing.errors import LtdmError

NINES = ", ".join(f"&l{i} [{', '.join([f'*l{i - 1}' if i else 'x'] * 9)}]" for i in range(9))


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("!!timestamp x", "'x' is no timestamp"),
        ("!!bool maybe", "'maybe' is no bool"),
        ("!!int x", "'x' is no int"),
        ("2001-99-99", "'2001-99-99' is no timestamp"),
        ("2020-01-01T99:00:00Z", "is no timestamp"),
        ("&a [*a]", "holds itself by an alias"),
        ("&a {b: *a}", "holds itself by an alias"),
        (f"[{NINES}]", "aliases make it larger than"),
        ("[" * 3000, "too deeply nested"),
        ("{a: " * 3000 + "}" * 3000, "too deeply nested"),
    ],
)
def test_values_that_cannot_be_read(tmp_path, value, fault):
    file = tmp_path / "c.yaml"
    file.write_text(f"a: 1\nb: {value}\n")
    with pytest.raises(LtdmError, match=rf"c.yaml, line \d.*{fault}"):
        read_config([file])


def test_aliases_and_merges_are_read(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("a: &a {x: 1, y: [&b 2]}\nc: {<<: *a, x: *b}\n")
    assert read_config([file]) == {"a": {"x": 1, "y": [2]}, "c": {"x": 2, "y": [2]}}
