"""The project around the code: reading order, README, hook, container, the workflow catalog."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def test_the_reading_order_names_files_of_about_that_length():
    rows = re.findall(
        r"^\| `([^`]+)` \| (\d+) \|", (ROOT / "docs/code.md").read_text(), re.MULTILINE
    )
    assert len(rows) == 5
    for file, lines in rows:
        real = len((ROOT / file).read_text().splitlines())
        assert abs(real - int(lines)) <= 0.1 * real, f"{file} has {real} lines; change docs/code.md"


def test_the_layout_names_every_folder():
    page = (ROOT / "docs/code.md").read_text()
    for folder in (ROOT / "ltdm").iterdir():
        if (folder / "__init__.py").exists():
            assert f"  {folder.name}/ " in page


def test_readme_is_one_page():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 130
    assert max(map(len, lines)) <= 120


def test_before_a_commit_the_checks_run():
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for hook in repo["hooks"]] == ["make check"]


def test_the_container_is_set_up_as_this_environment_was():
    """The image is not built here, but its command `make setup` also made this environment."""
    runs = re.findall(r"^RUN (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert [run for run in runs if "apt-get" not in run] == ["make setup"]
    recipe = subprocess.run(
        ["make", "--dry-run", "--always-make", "setup"], cwd=ROOT, capture_output=True, text=True
    )
    checks, installs = (
        recipe.stdout.find(step) for step in ("plumbing.host", "--require-hashes -r")
    )
    assert 0 < checks < installs, "the checkout's path is checked first"
    installers = re.findall(r"(\S+ install) [^;&|]*-r requirements\.lock", recipe.stdout)
    assert installers == ["pip install"] * 2, "uv, or else pip"
    assert recipe.stdout.count("--require-hashes") == 3, "uv itself is checked too"
    choice = re.search(r"sed -n '([^']+)' requirements\.lock", recipe.stdout)[1]
    lines = ["sed", "-n", choice, "requirements.lock"]
    first, *hashes = subprocess.check_output(lines, cwd=ROOT, text=True).splitlines()
    assert re.fullmatch(r"uv==[\d.]+ \\", first)
    assert hashes
    assert all(line.startswith("    --hash=sha256:") for line in hashes)


@pytest.mark.slow
def test_the_workflow_is_where_the_catalog_looks(tmp_path):
    """As the main Snakefile, and as a module of another workflow."""
    assert yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    (tmp_path / "Snakefile").write_text(
        'configfile: "smoke.yaml"\n\n'
        f'module ltdm:\n    snakefile: "{ROOT}/workflow/Snakefile"\n    config: config\n\n'
        "use rule * from ltdm\n"
    )
    (tmp_path / "smoke.yaml").write_text((ROOT / "config/smoke.yaml").read_text())
    direct = [f"--snakefile={ROOT}/workflow/Snakefile", "--configfile=smoke.yaml"]
    for how in (direct, []):
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "host", *how],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert re.search(r"^train +2$", done.stdout + done.stderr, re.MULTILINE), done.stderr
