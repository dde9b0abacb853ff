"""The parts of docs/extending.md, put into a copy of the package, are one experiment that runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch

from ltdm.diffusion import vp
from ltdm.metrics._base import Sample
from ltdm.plumbing import registry
from ltdm.plumbing.code_digest import digest
from ltdm.samplers import ddim

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`ltdm/(\w+/\w+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))
CONFIGS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
KINDS = {folder: kind for kind, folder in registry.FOLDERS.items()}
PARTS = {KINDS[file.split("/")[0]]: Path(file).stem.replace("_", "-") for file in FILES}

RUN = """
import json, sys
from pathlib import Path

import ltdm
from ltdm.plumbing import registry
from ltdm.cli.main import main
from ltdm.plumbing.code_digest import digest
from tests.helpers.parts import faults

here, parts, old = Path.cwd(), *map(json.loads, sys.argv[1:])
assert Path(ltdm.__file__).is_relative_to(here), "the copy, not the checkout"
for kind, name in parts.items():
    found = faults(kind, registry.load_module(kind, name, ()))
    assert not found, (name, found)
configs = sorted(map(str, here.glob("*.yaml")))
for stage in ("check", "prepare", "train", "sample", "features", "metrics", "tables"):
    where = ["--results", str(here / "results")]
    main([stage, *configs, *where], standalone_mode=False)
assert old == {module: digest(module) for module in old}, "no code that was there changed"
"""


def test_every_block_is_a_part_of_another_kind():
    assert PARTS.keys() == registry.FOLDERS.keys() and len(FILES) == len(PARTS)
    assert PAGE.count("```python") == len(FILES) and len(CONFIGS) == len(FILES) + 1
    for name in PARTS.values():
        assert f"| `{name}` |" in PAGE, "the table at its top"
        assert any(re.search(rf"\b{name}\b", config) for config in CONFIGS)
    assert not [name for kind, name in PARTS.items() if name in registry.part_names(kind)]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Run all stages in one process on a copy of the package that has the new files."""
    here = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "ltdm", here / "ltdm", ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in FILES.items():
        (here / "ltdm" / file).write_text(text, encoding="utf-8")
    for number, text in enumerate(CONFIGS):
        (here / f"{number}.yaml").write_text(text, encoding="utf-8")
    stages = ("prepare", "train", "sample", "extractor", "features", "metrics")
    old = {module: digest(module) for module in (f"ltdm.stages.{stage}" for stage in stages)}
    arguments = json.dumps(PARTS), json.dumps(old)
    path = os.pathsep.join(map(str, (here, ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=here,
        env={**os.environ, "PYTHONPATH": path, "LTDM_DEVICE": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return here / "results/mine"


def test_all_seven_run_together(results):
    rows = pd.read_csv(results / "tables/metrics.csv")
    assert {*rows["metric"]} == {PARTS["metric"]} and {*rows["features"]} == {PARTS["extractor"]}
    assert rows["sampler"].str.startswith(f"{PARTS['sampler']}(").all()
    assert rows["value"].notna().all() and {*rows["run"]} == {PARTS["method"]}
    assert {"all", "head", "tail", "worst"} <= {*rows["group"]}
    made = json.loads((results / "runs/discs-lt/weighted/seed-0/run.json").read_text())
    said = json.dumps(made)
    assert all(f'"{PARTS[kind]}"' in said for kind in ("network", "process", "method"))
    data = json.loads((results / "data/discs-lt/data.json").read_text())
    assert data["source"]["name"] == PARTS["source"]
    assert pd.read_csv(results / "data/discs-lt/counts.csv")["train"].tolist() == [60, 18, 6]


def test_the_page_s_code_is_as_the_house_writes_it(results):
    copy = results.parents[1]
    shutil.copy(ROOT / "pyproject.toml", copy)
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, *(f"ltdm/{file}" for file in FILES)]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def module(kind):
    """Return a part of the page as a module that nothing else knows."""
    text = next(text for file, text in FILES.items() if KINDS[file.split("/")[0]] == kind)
    made = ModuleType(PARTS[kind])
    exec(compile(text, PARTS[kind], "exec"), vars(made))
    return made


def test_the_sampler_is_ddim_without_noise_of_its_own():
    process, euler = vp.build(vp.Options()), module("sampler")
    noise = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double()

    def draw(sampler):
        def denoise(x, level):
            return (x / (1 + level)).tanh()

        return sampler.sample(denoise, process, lambda: noise, sampler.Options(steps=7))

    assert torch.allclose(draw(euler), draw(ddim), rtol=0, atol=1e-12)


def test_the_process_has_the_paper_s_schedule():
    cosine = module("process")
    process = cosine.build(cosine.Options(T=1000))
    t = np.arange(1, 1000) / 1000  # the last beta is cut
    f = np.cos((np.append(0, t) + 0.008) / 1.008 * np.pi / 2) ** 2
    assert np.allclose(process.alpha_bar[:-2], f[1:] / f[0], rtol=1e-9, atol=0)
    assert process.alpha_bar[999] == pytest.approx(0.001 * process.alpha_bar[998])
    assert process.scales(-1.0) == (1.0, 0.0)


def test_the_method_weighs_the_training_set_by_1_on_average():
    weighted = module("method")
    counts = [60, 18, 6]
    weight = weighted.build(weighted.Options(power=1.0), counts).weight.numpy()
    assert np.average(weight, weights=counts) == pytest.approx(1)
    assert np.allclose(weight * counts, 84 / 3), "all classes equally"


def test_the_metric_s_error_is_what_draws_vary_by():
    metric, rng = module("metric"), np.random.default_rng(0)
    labels = np.zeros(400, np.int64)

    def draw():
        features = rng.normal([1.0, 0.5], [1.0, 2.0], (400, 2))
        real = Sample(np.zeros((5, 2)), labels[:5])
        return metric.score(real, Sample(features, labels), metric.Options())["mean-distance"]

    values, errors = zip(*(draw() for _ in range(400)), strict=True)
    assert np.mean(values) == pytest.approx(1.25 + 5 / 400, rel=0.02)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.1)
