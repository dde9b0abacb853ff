"""Every command with every file that it takes: missing, a folder, empty, foreign, cut, private."""

import builtins
import io

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from ltdm.cli.main import main
from tests.unit.cli.test_cli import SMOKE

FOREIGN = ("pickle", "zip", "Expecting", "eader", "magic", "codec", "token", "JSONDecode", "bug")
"""What other libraries say of such files."""


def read_arguments():
    """Yield (command, parameter) for each file or folder that a command reads."""
    groups = [("", main), ("bench ", main.commands["bench"])]
    for prefix, group in groups:
        for name, command in group.commands.items():
            for parameter in getattr(command, "params", ()):
                written = ("path", "cache_dir", "output") + ("model",) * (name == "import")
                is_results = parameter.name == "results" and isinstance(parameter, click.Option)
                is_path = isinstance(parameter.type, click.Path)
                if is_path and parameter.name not in written and not is_results:
                    yield f"{prefix}{name}", parameter.name


def spoil(kind, file):
    """Write a bad file of a kind."""
    if kind == "missing":
        return
    if kind == "folder":
        file.mkdir()
    elif kind == "cut":
        good = file.with_name(f"good-{file.name}")
        content = good.read_bytes()
        file.write_bytes(content[: len(content) * 2 // 3])
    elif kind == "private":
        file.write_bytes(file.with_name(f"good-{file.name}").read_bytes())
    else:
        file.write_bytes(b"" if kind == "empty" else np.random.default_rng(0).bytes(3000))


def arguments(command, parameter, folder):
    """Return the words of a call in which all files are good but the one of `parameter`."""
    np.savez(folder / "good-a.npz", images=np.zeros((6, 8, 8, 3), np.uint8))
    np.save(folder / "good-a.npy", np.arange(6) % 2)
    save_file({"a": torch.zeros(9)}, folder / "good-a.safetensors")
    torch.save({"net_model": {"a": torch.zeros(9)}}, folder / "good-a.pt")
    (folder / "good-a.json").write_text('{"rows": [{"run": "ddpm"}]}')
    (folder / "good-a.yaml").write_text("grid: {dataset: [digits-lt],\n run: [ddpm]}\n")
    images, labels = folder / "good-a.npz", folder / "good-a.npy"
    suffix = {
        "config": "yaml",
        "bench": "json",
        "checkpoint": "pt",
        "model": "safetensors",
        "images": "npz",
        "reference": "npz",
        "labels": "npy",
        "reference_labels": "npy",
        "results": "results",
    }[parameter]
    bad = folder / f"a.{suffix}"
    score = {"images": images, "--reference": images, "--labels": labels}
    words = {
        "import": [bad, folder / "out.safetensors"],
        "ema": [bad, folder / "out.safetensors", "--sigma-rel", "0.1"],
        "plan": [SMOKE, "--bench", bad] if parameter == "bench" else [bad],
        "stats": [
            bad,
            folder / "out.npz",
            "--cache-dir",
            folder / "cache",
            "--extractor",
            "pixels",
        ],
        "accept": [bad, "--because", "it is"],
    }.get(command, [bad])
    if command == "score":
        key = {"images": "images", "labels": "--labels"}.get(parameter, f"--{parameter}")
        score[key.replace("_", "-")] = bad
        words = [score.pop("images"), *(word for pair in score.items() for word in pair)]
        words += ["--cache-dir", folder / "cache", "--extractor", "pixels", "--metric", "frechet"]
    return bad, [*command.split(), *map(str, words)]


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "foreign", "cut", "private"])
@pytest.mark.parametrize(("command", "parameter"), [*read_arguments()])
def test_a_bad_file_is_one_sentence(command, parameter, kind, tmp_path, monkeypatch):
    bad, words = arguments(command, parameter, tmp_path)
    if parameter == "results" and kind in ("cut", "private"):
        return  # a folder
    spoil(kind, bad)
    if kind == "private":
        for module in (builtins, io):

            def refuse(file, *args, _open=module.open, **options):
                if str(file) == str(bad):
                    raise PermissionError(13, "Permission denied", str(bad))
                return _open(file, *args, **options)

            monkeypatch.setattr(module, "open", refuse)
    result = CliRunner().invoke(main, words)
    text = result.output
    assert result.exit_code == 1, (text, result.exception)
    assert text.startswith("ltdm: ") and text.count("\n") == 1, text
    assert str(bad) in text, "the place"
    assert not [word for word in FOREIGN if word in text], text
    assert parameter == "results" or "delete" not in text, "the user's own file"
    assert not [*tmp_path.glob("out.*")]
