"""Results folders that are compared."""

import shutil

import pytest

from tests.helpers.made_up_results import write_results


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    return write_results(tmp_path_factory.mktemp("made") / "results", runs=("ddpm", "cbdm"))


@pytest.fixture
def folders(made, tmp_path, monkeypatch):
    """Two equal results folders, in the working folder."""
    monkeypatch.chdir(tmp_path)
    return [shutil.copytree(made, tmp_path / name) for name in ("one", "two")]
