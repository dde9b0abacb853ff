"""The pages use options that exist, and their commands run."""

import re
import shlex
import shutil
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import click
import jsonschema
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from ltdm.cli.main import main
from ltdm.config.grid import GRID_AXES
from ltdm.config.merge import StrictLoader, parse_cli_config
from ltdm.config.site import Site
from ltdm.tools import docs_config
from tests.helpers.released import checkpoint
from tests.workflow.conftest import ROOT

__all__ = ["checkpoint"]

PAGES = [
    page
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))
    if page.name not in ("extending.md", "tutorial.md")  # test_extending.py, test_tutorial.py
]
PAGES.append(ROOT / "config/README.md")
FILES = [*(ROOT / "config").rglob("*.yaml"), *(ROOT / "tests/gpu").glob("*.yaml")]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONG = ("bench", "image-distances", "theory")
OF_THE_SHELL = ("echo", "export", "git", "mkdir")
HERE = {
    "IMAGES": "results/smoke/runs/digits-lt/ddpm/seed-0/main/samples.npz",
    "real.npz": "results/smoke/data/digits-lt/reference.npz",
    "results/cifar10-lt": "results/smoke",
    "results/cifar10-lt/runs": "results/smoke/runs",
    "results/cifar10-lt/data/cifar10-lt": "results/smoke/data/digits-lt",
    "inception": "pixels",  # whose weights are not downloaded here
    "...": "",
}
"""Placeholders on the pages, and what replaces them here: files of the smoke experiment."""


def blocks(language):
    """Return each code block of a language, with its page."""
    found = ((page, *block) for page in PAGES for block in BLOCK.findall(page.read_text()))
    return [pytest.param(text, id=page.name) for page, kind, text in found if kind == language]


def commands():
    """Yield each command of a block, as a list of words."""
    for block in blocks("bash"):
        for line in block.values[0].replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            yield pytest.param(words, id=f"{block.id}: {' '.join(words)}")


def errors(content):
    """Return the schema's errors for a part of a config."""
    schema = {k: v for k, v in docs_config.schema().items() if k != "required"}
    return [e.message for e in jsonschema.Draft202012Validator(schema).iter_errors(content)]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_on_a_page_is_valid(text):
    content = yaml.load(text, StrictLoader)
    if "cpus_per_gpu" in content:
        Site.parse(content)
    else:
        assert not errors(content)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_config_follows_the_schema(file):
    assert not errors(yaml.load(file.read_text(), StrictLoader))


def config_arguments():
    """Each `--config` of the pages and of the configs' comments, as a list of entries."""
    for file in (*PAGES, *FILES):
        text = re.sub(r"\s*\n#? *", " ", file.read_text().replace("\\\n", " "))
        for arguments in re.findall(r"--config ([^`]*?=[^`]*)", text):
            words = takewhile(lambda word: "=" in word, shlex.split(arguments, comments=True))
            yield list(words)


def test_config_arguments_are_valid():
    found = list(config_arguments())
    assert ["run=ddpm,cbdm", "seed=0"] in found and "defaults" in str(found)
    for entries in found:
        sections = {k: v for k, v in parse_cli_config(entries).items() if k not in GRID_AXES}
        assert not errors(sections), entries


def test_the_schema_has_no_old_key():
    assert errors({"defaults": {"train": {"updates": 4}}})
    assert errors({"defaults": {"sample": {"sampler": {"name": "ddim", "clip_x0": True}}}})


@pytest.fixture(scope="module")
def user(finished, tmp_path_factory):
    """A finished checkout with what the pages assume: a folder of images, and results."""
    user = finished.copy_to(tmp_path_factory.mktemp("pages") / "checkout")
    shutil.copytree(user.folder / "results/smoke", user.folder / "results/mine")
    for name in ("jay", "owl", "tit", "wren"):
        folder = user.folder / "birds" / name
        folder.mkdir(parents=True)
        for i in range(800):  # so that the smallest shard of its ensembles fills a batch
            Image.new("RGB", (32, 32)).save(folder / f"{i}.png")
    (birds,) = (
        text for kind, text in BLOCK.findall((ROOT / "README.md").read_text()) if kind == "yaml"
    )
    birds = birds.replace("/data/birds", str(user.folder / "birds"))
    (user.folder / "config/birds.yaml").write_text(birds)
    for profile in ("slurm", "workstation"):
        (user.folder / profile).symlink_to(f"profiles/{profile}")
    return user


@pytest.mark.parametrize("words", list(commands()))
def test_a_command_runs(words, user, checkpoint, monkeypatch):
    """Snakemake makes a dry run, of 742 jobs in place of the grid's 13,000.

    Of commands that take minutes only the arguments are checked.

    TensorBoard, which would wait for a browser, lists what it finds.
    """
    program, *arguments = (HERE.get(word, word) for word in words)
    program, arguments = Path(program).name, [a for a in arguments if a]
    monkeypatch.chdir(user.folder)
    monkeypatch.setenv("LTDM_DEVICE", "cpu")
    if program == "make":
        assert f"\n{arguments[0]}:" in (ROOT / "Makefile").read_text()
    elif program == "snakemake":
        if "--configfile" not in arguments:
            arguments += ["--configfile", "config/smoke.yaml"]
        if "config/cifar10-lt.yaml" in arguments and "--config" not in arguments:
            arguments += ["--config", "run=ddpm"]
        user.snakemake(*arguments, "--dry-run")
    elif program == "ltdm" and arguments[0] in LONG:
        command, context = main, click.Context(main, **main.context_settings)
        while isinstance(command, click.Group):
            command = command.commands[arguments.pop(0)]
        assert command.make_context(program, arguments, parent=context)
    elif program == "tensorboard":
        command = [sys.executable, "-m", "tensorboard.main", *arguments, "--inspect"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=user.folder)
        assert done.returncode == 0 and "No event files found" in done.stdout, done.stderr
    elif program == "ltdm":
        if "ckpt_300000.pt" in arguments:
            shutil.copy(checkpoint()[0], "ckpt_300000.pt")
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
    else:
        assert program in OF_THE_SHELL
