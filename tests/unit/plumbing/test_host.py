"""Odd paths, homes and terminals, and the modes of files in a folder that a group shares."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ltdm.core.weights import write_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import write_npz, write_text
from ltdm.plumbing.host import check_checkout, check_work_folder, ensure_cache
from ltdm.plumbing.locks import exclusive
from ltdm.training.state import State

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("sign", [":", "{", "}", "\n", "\t", os.fsdecode(b"\xe9")])
def test_a_path_that_python_or_snakemake_cannot_use_is_refused(sign):
    with pytest.raises(
        LtdmError, match=r"the path of the checkout, .*; move the checkout"
    ) as error:
        check_checkout(f"/home/me/lt{sign}dm")
    assert str(error.value).isascii() and ascii(sign) in str(error.value)


@pytest.mark.parametrize("signs", [" ", "'", '"', "$HOME", "(1)", "#", "%s", "&", "é日", "`", "\\"])
def test_other_signs_in_the_path_are_no_error(signs):
    check_checkout(f"/home/me/lt{signs}dm")


def test_a_work_folder_without_write_permission_is_refused(tmp_path, monkeypatch):
    check_work_folder(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name == ".snakemake")
    with pytest.raises(LtdmError, match=r"cannot write to .*`--directory FOLDER`"):
        check_work_folder(tmp_path)
    (tmp_path / ".snakemake").mkdir()
    check_work_folder(tmp_path)


@pytest.mark.parametrize("home", [None, "a-file", "a-file/below", "read-only"])
def test_a_home_that_takes_no_cache_is_replaced(tmp_path, monkeypatch, home):
    (tmp_path / "a-file").touch()
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("MPLCONFIGDIR", "")  # so that it is restored
    monkeypatch.delenv("MPLCONFIGDIR")
    monkeypatch.setenv("HOME", str(tmp_path / (home or "none")))
    if home is None:

        def no_home():
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", no_home)
    if home == "read-only":
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    ensure_cache(tmp_path / "own")
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / "own")
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path / "own/matplotlib")


def test_a_usable_cache_stays_in_use(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    ensure_cache(tmp_path / "own")
    assert "XDG_CACHE_HOME" not in os.environ
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    ensure_cache(tmp_path / "own")
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / "mine")


@pytest.mark.parametrize(("umask", "group"), [(0o002, 0o060), (0o027, 0o040), (0o077, 0)])
def test_the_umask_decides_what_a_group_may_do_with_results(tmp_path, umask, group):
    """A second user of the group can go on where the first one stopped, or sees nothing."""
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a/table.csv", "x")
        write_npz(tmp_path / "a/b/images.npz", x=np.zeros(1))
        write_weights(tmp_path / "a/model.safetensors", {"w": torch.zeros(1)}, {})
        State(tmp_path / "a/state", "0").save({"w": torch.zeros(1)})
        with exclusive(tmp_path / "a"):
            pass
    finally:
        os.umask(before)
    files = [f for f in (tmp_path / "a").rglob("*") if f.is_file()]
    assert {f.name for f in files} >= {"table.csv", "images.npz", "model.safetensors", "state.pt"}
    assert {f.stat().st_mode & 0o060 for f in files} == {group}
    folders = [tmp_path / "a", *(f for f in (tmp_path / "a").rglob("*") if f.is_dir())]
    assert {f.stat().st_mode & 0o060 for f in folders} == {group}


def test_make_setup_checks_the_path_before_any_package_is_installed(tmp_path):
    (tmp_path / "a{b").mkdir()
    command = [sys.executable, "-S", "-m", "ltdm.plumbing.host"]
    for folder, status, start in ((tmp_path, 0, ""), (tmp_path / "a{b", 1, "ltdm: the path")):
        done = subprocess.run(
            command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
        )
        assert done.returncode == status and done.stderr.startswith(start)
        assert done.stderr.count("\n") == status
