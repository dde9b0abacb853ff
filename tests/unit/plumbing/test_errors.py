"""Messages are one printable line, whatever names and values of the user they repeat."""

import pytest

from ltdm.plumbing.errors import MAX_LENGTH, LtdmError, OptionError


@pytest.mark.parametrize("odd", ["a\nb", "\x1b[31m", "\u202e", "\udcff", "\0", "d\ufeff", "\x85"])
def test_signs_that_cannot_be_printed_are_escaped(odd):
    text = str(LtdmError(f"the class {odd} is empty; add images"))
    assert text.isprintable()
    assert text.startswith("the class ") and text.endswith(" is empty; add images")
    assert "\\" in text


@pytest.mark.parametrize("sentence", ["Ä, é and 日本語 stay", "a  b", "'$x$' \\n"])
def test_text_that_can_be_printed_stays(sentence):
    assert str(LtdmError(sentence)) == sentence


def test_a_long_message_keeps_its_place_and_its_way_out():
    error = OptionError(("runs", "ddpm"), f"must be a number, not {[0] * 900}; correct that")
    assert len(str(error)) <= MAX_LENGTH
    assert str(error).startswith("runs.ddpm: must be a number, not [0, 0")
    assert str(error).endswith("0]; correct that")
