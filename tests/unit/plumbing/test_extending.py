"""The parts of docs/extending.md run as one experiment in a copy of the package."""

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
from tests.helpers.samplers import run

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

folder, parts, old = Path.cwd(), *map(json.loads, sys.argv[1:])
assert Path(ltdm.__file__).is_relative_to(folder), "the copy, not the checkout"
for kind, name in parts.items():
    problems = faults(kind, registry.load_module(kind, name, ()))
    assert not problems, (name, problems)
configs = sorted(map(str, folder.glob("*.yaml")))
for stage in ("check", "prepare", "train", "sample", "features", "metrics", "tables"):
    options = ["--results", str(folder / "results")]
    main([stage, *configs, *options], standalone_mode=False)
assert old == {module: digest(module) for module in old}, "the digests of existing code changed"
"""


def test_the_page_has_one_part_of_each_kind():
    assert PARTS.keys() == registry.FOLDERS.keys() and len(FILES) == len(PARTS)
    assert PAGE.count("```python") == len(FILES) and len(CONFIGS) == len(FILES) + 1
    for name in PARTS.values():
        assert f"| `{name}` |" in PAGE, "the table at its top"
        assert any(re.search(rf"\b{name}\b", config) for config in CONFIGS)
    assert not [name for kind, name in PARTS.items() if name in registry.part_names(kind)]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Run all stages in one process on a copy of the package with the page's parts."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "ltdm", folder / "ltdm", ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in FILES.items():
        (folder / "ltdm" / file).write_text(text, encoding="utf-8")
    for number, text in enumerate(CONFIGS):
        (folder / f"{number}.yaml").write_text(text, encoding="utf-8")
    stages = ("prepare", "train", "sample", "extractor", "features", "metrics")
    old = {module: digest(module) for module in (f"ltdm.stages.{stage}" for stage in stages)}
    arguments = json.dumps(PARTS), json.dumps(old)
    path = os.pathsep.join(map(str, (folder, ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "LTDM_DEVICE": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results/mine"


def test_all_seven_parts_run_together(results):
    rows = pd.read_csv(results / "tables/metrics.csv")
    assert {*rows["metric"]} == {PARTS["metric"]} and {*rows["extractor"]} == {PARTS["extractor"]}
    assert rows["sampler"].str.startswith(f"{PARTS['sampler']}(").all()
    assert rows["value"].notna().all() and {*rows["run"]} == {PARTS["method"]}
    assert {"all", "head", "tail", "worst"} <= {*rows["group"]}
    record = (results / "runs/discs-lt/weighted/seed-0/run.json").read_text()
    assert all(f'"{PARTS[kind]}"' in record for kind in ("network", "process", "method"))
    data = json.loads((results / "data/discs-lt/data.json").read_text())
    assert data["source"]["name"] == PARTS["source"]
    assert pd.read_csv(results / "data/discs-lt/counts.csv")["train"].tolist() == [60, 18, 6]


def test_the_page_s_code_passes_ruff(results):
    copy = results.parents[1]
    shutil.copy(ROOT / "pyproject.toml", copy)
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, *(f"ltdm/{file}" for file in FILES)]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def module(kind):
    """Return a part of the page as a module that is not in the package."""
    text = next(text for file, text in FILES.items() if KINDS[file.split("/")[0]] == kind)
    part = ModuleType(PARTS[kind])
    exec(compile(text, PARTS[kind], "exec"), vars(part))
    return part


def test_the_sampler_equals_ddim_without_added_noise():
    process, euler = vp.build(vp.Options()), module("sampler")
    noise = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double()

    def sample(sampler):
        def denoise(x, level):
            return (x / (1 + level)).tanh()

        return run(sampler, denoise, process, lambda: noise, steps=7)

    assert torch.allclose(sample(euler), sample(ddim), rtol=0, atol=1e-12)


def test_the_process_has_the_paper_s_schedule():
    cosine = module("process")
    process = cosine.build(cosine.Options(T=1000))
    t = np.arange(1, 1000) / 1000  # the last beta is clipped
    f = np.cos((np.append(0, t) + 0.008) / 1.008 * np.pi / 2) ** 2
    assert np.allclose(process.alpha_bar[:-2], f[1:] / f[0], rtol=1e-9, atol=0)
    assert process.alpha_bar[999] == pytest.approx(0.001 * process.alpha_bar[998])
    assert process.signal_and_std(-1.0) == (1.0, 0.0)


def test_the_method_s_weights_average_to_1_over_the_training_set():
    weighted = module("method")
    counts = [60, 18, 6]
    weight = weighted.build(weighted.Options(power=1.0), counts).weight.numpy()
    assert np.average(weight, weights=counts) == pytest.approx(1)
    assert np.allclose(weight * counts, 84 / 3), "the same total weight for every class"


def test_the_metric_s_error_is_its_standard_deviation_over_samples():
    metric, rng = module("metric"), np.random.default_rng(0)
    labels = np.zeros(400, np.int64)

    def random_score():
        features = rng.normal([1.0, 0.5], [1.0, 2.0], (400, 2))
        real = Sample(np.zeros((5, 2)), labels[:5])
        return metric.score(real, Sample(features, labels), metric.Options())["mean-distance"]

    values, errors, _ = zip(*(random_score() for _ in range(400)), strict=True)
    assert np.mean(values) == pytest.approx(1.25 + 5 / 400, rel=0.02)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.1)
