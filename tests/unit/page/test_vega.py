"""The JavaScript of the charts, which the user's cache keeps."""

import vl_convert

from ltdm.page import document
from ltdm.plumbing.host import CACHE_VARIABLE


def test_the_script_is_put_together_once_and_a_damaged_copy_again(tmp_path, monkeypatch):
    made = []
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda *_, **__: made.append(1) or "vega;")
    texts = [document._vega() for _ in range(2)]
    assert (len(made), {*texts}) == (1, {"vega;\n// the end"})
    (copy,) = (tmp_path / "ltdm").iterdir()
    copy.write_text("veg")
    assert document._vega() == texts[0]
    assert (len(made), copy.read_text()) == (2, texts[0])


def test_no_cache_is_needed(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda *_, **__: "vega;")
    assert document._vega().startswith("vega;")
