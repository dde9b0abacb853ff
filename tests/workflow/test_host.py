"""The workflow under odd paths, without a home, a TMPDIR or UTF-8, and with `python -O`."""

import sys

from tests.workflow.conftest import project

BROKEN = {"HOME": "/dev/null", "XDG_CACHE_HOME": "", "TMPDIR": "/dev/null", "PYTHONOPTIMIZE": "1"}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def test_a_job_runs_under_any_path_without_a_home(finished, tmp_path, monkeypatch):
    """Its images have the same bytes; Python lies below that path too, and results behind links."""
    odd = finished.copy_to(tmp_path / "my $HOME & 'é' (1)" / 'a "b" # `c`')
    elsewhere = tmp_path / "another disk"
    odd.results.rename(elsewhere)
    odd.results.symlink_to(elsewhere)
    environment = {**odd.environment(), **BROKEN, **ASCII}
    monkeypatch.setattr(odd, "environment", lambda: environment)
    (odd.folder / ".venv").symlink_to(sys.prefix)
    odd.python = str(odd.folder / ".venv/bin/python")
    assert odd.planned() == {}
    images = odd.results / "runs/digits-lt/ddpm/seed-0/main/samples.npz"
    before = images.read_bytes()
    images.unlink()
    odd.snakemake("--cores", "1", str(images.relative_to(odd.folder)))
    assert images.read_bytes() == before
    assert odd.results.is_symlink()


def test_what_cannot_work_is_one_sentence_before_the_first_job(tmp_path):
    folder = tmp_path / "a{b}"
    folder.mkdir()
    printed = project(folder).snakemake("--cores", "1", ok=False)
    assert "the path of the checkout" in printed and "move the checkout" in printed
    assert "Traceback" not in printed and "Error in rule" not in printed
    (tmp_path / "dangling").mkdir()
    checkout = project(tmp_path / "dangling")
    (checkout.folder / "results").symlink_to(tmp_path / "unmounted disk")
    printed = checkout.snakemake("--cores", "1", ok=False)
    assert "ltdm: cannot write results/smoke/logs/run-" in printed
    assert "a link to nowhere" in printed
    assert "Traceback" not in printed and "Error in rule" not in printed
