"""Where what the compiler makes lies: with the experiment, for all of its jobs."""

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
def _nothing_named(monkeypatch):
    for name in (compiling.TORCH_CACHE_VARIABLE, compiling.CACHE_VARIABLE, "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "")  # so that all are as they were afterwards
        monkeypatch.delenv(name)
    monkeypatch.setattr(torch, "compile", lambda net, **options: net)


def folder(device, compiled=True):
    """Return where the compiler is told to keep things, once a network is built."""
    Predictor(torch.nn.Identity(), device, "fp32", compiled)
    return os.environ.get(compiling.TORCH_CACHE_VARIABLE)


def test_what_is_compiled_for_a_gpu_lies_with_the_results(tmp_path):
    assert folder(CUDA) is None, "nobody has named a place"
    assert cache_dir_utils.cache_dir() == folder(CUDA), "PyTorch names one itself"
    compiling.set_compile_cache(tmp_path / "here")
    for other in (folder(CUDA, compiled=False), folder(CPU)):
        assert other == cache_dir_utils.default_cache_dir()
    assert folder(CUDA) == str(tmp_path / "here")
    assert cache_dir_utils.triton_cache_dir(0) == str(tmp_path / "here/triton/0")


def test_a_folder_that_the_user_names_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv(compiling.TORCH_CACHE_VARIABLE, "/theirs")
    compiling.set_compile_cache(tmp_path)
    assert folder(CUDA) == "/theirs"


def test_the_command_line_names_the_folder_of_the_results(tmp_path):
    smoke = ROOT / "config/smoke.yaml"
    CliRunner().invoke(main, ["train", str(smoke), "--results", str(tmp_path)])  # without data
    assert os.environ[compiling.CACHE_VARIABLE] == str(tmp_path / "smoke/.compiled")
    assert not (tmp_path / "smoke/.compiled").exists(), "made when it is due"
    if (ROOT / ".git").exists():
        ignored = ("git", "check-ignore", "--quiet", "results/smoke/.compiled/x")
        assert subprocess.run(ignored, cwd=ROOT).returncode == 0
