"""The cache of PyTorch's compiler is in the results folder, for all jobs of an experiment."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch._inductor.runtime import cache_dir_utils

from ltdm.cli.main import main
from ltdm.networks._predictor import Predictor
from ltdm.plumbing import compiling

ROOT = Path(__file__).parents[3]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def _no_cache_is_set(monkeypatch):
    for name in (compiling.TORCH_CACHE_VARIABLE, compiling.CACHE_VARIABLE, "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "")  # so that monkeypatch restores them
        monkeypatch.delenv(name)
    monkeypatch.setattr(torch, "compile", lambda net, **options: net)


def folder(device, compiled=True):
    """Return PyTorch's cache folder after a network is built."""
    Predictor(torch.nn.Identity(), device, "fp32", compiled)
    return os.environ.get(compiling.TORCH_CACHE_VARIABLE)


def test_the_cache_of_a_gpu_is_in_the_results_folder(tmp_path):
    assert folder(CUDA) is None, "no folder is set"
    assert cache_dir_utils.cache_dir() == folder(CUDA), "PyTorch sets its own"
    compiling.set_compile_cache(tmp_path / "here")
    for other in (folder(CUDA, compiled=False), folder(CPU)):
        assert other == cache_dir_utils.default_cache_dir()
    assert folder(CUDA) == str(tmp_path / "here")
    assert cache_dir_utils.triton_cache_dir(0) == str(tmp_path / "here/triton/0")


def test_a_folder_that_the_user_set_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv(compiling.TORCH_CACHE_VARIABLE, "/theirs")
    compiling.set_compile_cache(tmp_path)
    assert folder(CUDA) == "/theirs"


def test_the_command_line_sets_the_folder_of_the_results(tmp_path):
    smoke = ROOT / "config/smoke.yaml"
    CliRunner().invoke(main, ["train", str(smoke), "--results", str(tmp_path)])  # without data
    assert os.environ[compiling.CACHE_VARIABLE] == str(tmp_path / "smoke/.compiled")
    assert not (tmp_path / "smoke/.compiled").exists(), "the compiler creates it"
    if (ROOT / ".git").exists():
        ignored = ("git", "check-ignore", "--quiet", "results/smoke/.compiled/x")
        assert subprocess.run(ignored, cwd=ROOT).returncode == 0
