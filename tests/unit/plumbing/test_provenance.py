"""The commit of a result's code."""

import re
import subprocess

import ltdm
from ltdm.plumbing.provenance import commit


def test_the_commit_is_that_of_a_checkout_of_ltdm_or_none(tmp_path, monkeypatch):
    """A virtual environment inside another repository holds ltdm, but is no checkout of it."""

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True
        )

    package = tmp_path / "site-packages/ltdm"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(ltdm, "__file__", str(package / "__init__.py"))
    assert commit() is None
    git("init")
    git("commit", "--allow-empty", "-m", "theirs")
    assert commit() is None
    git("add", ".")
    git("commit", "-m", "ours")
    assert re.fullmatch("[0-9a-f]{40}", commit())
    (package / "__init__.py").write_text("changed = 1")
    assert commit().endswith("+changes")
