"""The theory lab in an experiment: its spec, lineage, the commands, and its stages."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from ltdm.config.experiment import Experiment
from ltdm.pipeline.lineage import lineage
from ltdm.pipeline.records import check_records, expected_records
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json, read_npz
from ltdm.plumbing.options import parse
from ltdm.reporting.rows import read_rows
from ltdm.stages import theory, theory_figure, theory_tables
from ltdm.theory import examples
from ltdm.theory.names import FIGURES
from ltdm.theory.options import Sweep
from tests.helpers.smoke_config import edited
from tests.unit.cli.test_cli import SMOKE, ltdm

TINY = {
    "head": 30,
    "tails": [6, 12, 24],
    "betas": [0, 1 / 3, 1],
    "seeds": 2,
    "width": 8,
    "noise_draws": 4,
    "samples": 20,
    "kl_samples": 10,
    "samplers": [{"name": "heun", "steps": 4}],
    "steps": [4, 40],
}
SMALL = {**TINY, "tails": [6]}
CLASSES_3D = [{"a": [{"mean": [0, 0, 0]}]}, {"b": [{"mean": [1, 0, 0], "std": 2}]}]


def test_the_spec_has_neither_figures_nor_defaults():
    options = {**TINY, "seeds": 10, "ridge": 1e-6, "figures": list(FIGURES)}
    sweep = parse(Sweep, options, ("theory",))
    assert sweep.spec() == parse(Sweep, {k: v for k, v in TINY.items() if k != "seeds"}).spec()
    assert not {"figures", "seeds", "ridge"} & sweep.spec().keys()
    assert parse(Sweep, sweep.spec()) == parse(Sweep, {**TINY, "seeds": 10})
    assert parse(Sweep, {"classes": CLASSES_3D}).classes.dimension == 3
    assert parse(Sweep, None).spec() == {}, "a sweep may be all defaults"
    assert sweep.num_games == 90


def test_lineage_and_records_of_sweeps():
    experiment = Experiment(edited("theory", {"b": TINY, "a": None}))
    assert list(experiment.sweeps) == ["a", "b"]
    parents = {str(k): list(map(str, v)) for k, v in lineage(experiment.plan).items()}
    root = "results/smoke"
    for name in ("a", "b"):
        for ending in ("csv", "npz", "json"):
            assert parents[f"{root}/theory/{name}.{ending}"] == [], "only the config"
    both = [f"{root}/theory/{name}.csv" for name in ("a", "b")]
    for table in ("theory", "theory-a", "theory-b"):
        for form in ("csv", "md", "tex"):
            assert parents[f"{root}/tables/{table}.{form}"] == both
    requests = {r.record.as_posix(): r.request for r in expected_records(experiment.plan)}
    assert requests[f"{root}/theory/b.json"]["spec"] == experiment.sweeps["b"].spec()
    assert requests[f"{root}/theory/a.json"]["spec"] == {}
    without = Experiment(edited("theory", {}))
    assert not [path for path in lineage(without.plan) if "theory" in str(path)]
    assert not [r for r in expected_records(without.plan) if "theory" in str(r.record)]


@pytest.fixture
def config(tmp_path):
    """Arguments for the smoke experiment with two sweeps, and its results folder."""
    over, sweeps = tmp_path / "over.yaml", {"one": SMALL, "other": {**SMALL, "betas": [0]}}
    over.write_text(yaml.safe_dump({"theory": sweeps}))
    return SMOKE, over, "--results", tmp_path


def test_the_theory_command_runs_sweeps_then_writes_tables(config, tmp_path):
    printed = ltdm("theory", *config, "--sweep", "one")
    root = tmp_path / "smoke"
    assert printed == f"{root}/theory/one.csv\nno tables yet: other still to run\n"
    rows, record = read_rows(root / "theory/one.csv"), read_json(root / "theory/one.json")
    assert list(rows)[:3] == ["seed", "tail", "beta"]
    assert {"frechet-heun", "kl", "nash-gap", "own-gap", "generalisation-gap"} < {*rows["metric"]}
    assert {*rows["steps"]} == {1, 2, 4, 8, 16, 32, 40, np.inf}
    assert record["spec"] == parse(Sweep, SMALL).spec()
    W, U, A = read_npz(root / "theory/one.npz", "W", "U", "A")
    assert (W.shape, U.shape, A.shape) == ((2, 8), (3, 8), (1, 3, 2, 8, 2))
    assert not (root / "theory/other.csv").exists() and not (root / "tables").exists()
    before = {f: f.read_bytes() for f in (root / "theory").iterdir()}
    printed = ltdm("theory", *config)
    lines = f"{root}/theory/other.csv\n{root}/tables/theory.html\n| sweep | tail | beta | finding"
    assert lines in printed
    assert "| tail | steps | beta" in (root / "tables/theory-one.md").read_text()
    assert {f: f.read_bytes() for f in before} == before, "finished sweeps are left alone"
    names = {f.name for f in (root / "tables").iterdir()}
    tables = ("theory", "theory-one", "theory-other")
    assert names == {f"{table}.{form}" for table in tables for form in ("csv", "html", "md", "tex")}


def test_missing_sweeps_and_divergence_are_errors(config, tmp_path):
    for command in (["theory"], ["bench", "theory"]):
        printed = ltdm(*command, *config, "--sweep", "othr", code=1)
        assert printed == "ltdm: 'othr' is not under `theory`; did you mean 'other'?\n"
        printed = ltdm(*command, SMOKE, code=1)
        assert printed.startswith("ltdm: the config has no sweeps under `theory`; config/theory.y")
    over = tmp_path / "fast.yaml"
    over.write_text("theory: {one: {step: 1.0e+6}}")
    printed = ltdm("theory", *config[:2], over, *config[2:], "--sweep", "one", code=1)
    assert "training diverged" in printed and "lower the sweep's step" in printed
    assert not (tmp_path / "smoke/theory").exists()


def test_bench_theory_compares_a_batch_with_single_games(config, tmp_path):
    file = tmp_path / "bench.json"
    command = ["bench", "theory", *config]
    printed = ltdm(*command, "--steps", 30, "--json", file).splitlines()
    assert printed[0].startswith("one: 6 games of 40 training steps"), "the sweep of most games"
    assert [line.partition(":")[0] for line in printed[1:]] == [
        "all games of a seed as a batch",
        "one game at a time, by squaring",
        "one game at a time, step by step",
    ]
    assert printed[-1].endswith("(measured on 3 games and 30 steps of each)")
    result = json.loads(file.read_text())
    assert result["alone_ratio"] == pytest.approx(result["alone_s"] / result["together_s"])
    assert result["stepping_s"] > result["alone_s"] > 0
    assert {"torch"} < result["versions"].keys()
    assert ltdm(*command, "--sweep", "other", "--steps", 2).startswith("other: 2")


def test_rows_of_other_options_are_refused(config, tmp_path):
    ltdm("theory", *config, "--sweep", "one")

    def check(**changes):
        sweeps = {"one": {**SMALL, **changes}}
        check_records(Experiment(edited("theory", sweeps), tmp_path).plan, lambda file: None)

    check()
    check(figures=["nash-gap"], seeds=2, ridge=1e-6)
    with pytest.raises(LtdmError, match=r"theory/one.json \(spec.head was 30, now 31\)"):
        check(head=31)
    with pytest.raises(LtdmError, match=r"one.json \(spec.ridge was unset, now 0.001\)"):
        check(ridge=1e-3)


def run_stage(folder, **changes):
    spec = parse(Sweep, {**TINY, **changes}).spec()
    files = {"rows": folder / "rows.csv", "networks": folder / "networks.npz"}
    theory.run({"spec": spec, "code": "this"}, **files, record=folder / "record.json")
    return spec, files


def test_every_figure_of_a_sweep_is_drawn(tmp_path):
    spec, files = run_stage(tmp_path)
    for figure in FIGURES:
        pictures = {ending: tmp_path / f"{figure}.{ending}" for ending in ("pdf", "png", "csv")}
        request = {"spec": spec, "sweep": "toy", "figure": figure, "code": "this"}
        theory_figure.run(request, **files, **pictures)
        assert all(pictures[ending].stat().st_size > 5000 for ending in ("pdf", "png"))
        assert len(pd.read_csv(pictures["csv"]))


@pytest.mark.parametrize(("best", "models"), [(1, 2), (0, 1)])
def test_score_fields_and_clouds_show_the_smallest_and_the_best_beta(tmp_path, best, models):
    """Also if the best beta has more digits than the rows hold."""
    spec, files = run_stage(
        tmp_path, tails=[6], classes=[*CLASSES_3D, {"c": [{"mean": [0, 3, 0]}]}]
    )
    rows = read_rows(files["rows"])
    worst = rows["metric"].eq("kl") & rows["group"].eq("worst") & rows["steps"].eq(40)
    rows.loc[worst, "value"] = (rows.loc[worst, "beta"] - TINY["betas"][best]).abs()
    data = examples.FigureData(parse(Sweep, spec), files["networks"], rows)
    assert list(data.models) == [f"beta {b:g}" for b in TINY["betas"][:2]][:models]
    for c in range(3):
        assert list(data.score_sources(c)) == ["exact", *data.models]


def test_tables_of_several_sweeps(tmp_path):
    overlapping = {**SMALL, "betas": [0, 0.1, 1], "figures": ["v-curve"]}
    sweeps = {"one": overlapping, "far": {**SMALL, "classes": "separated"}}
    rows, specs = {}, {}
    for name, sweep in sweeps.items():
        (tmp_path / name).mkdir()
        run_stage(tmp_path / name, **sweep)
        rows[name], specs[name] = tmp_path / name / "rows.csv", sweep
    files = {"findings": tmp_path / "tables/theory.csv", "tables": [], "others": []}
    theory_tables.run({"specs": specs, "code": "this"}, rows=[*rows.values()], **files)
    tables = [pd.read_csv(tmp_path / f"tables/theory-{name}.csv") for name in sweeps]
    assert tables[0]["reported frechet (head)"].tolist()[::3] == [2.766] * 2
    assert "reported frechet (head)" not in tables[1], "reported for the overlapping classes only"
    assert {*pd.read_csv(tmp_path / "tables/theory.csv")["sweep"]} == {"one"}
