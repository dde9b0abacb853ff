"""The theory lab in an experiment: what is refused, made from what, run by hand, and measured."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from ltdm.config.experiment import Experiment
from ltdm.pipeline.lineage import lineage
from ltdm.pipeline.records import check_records, expected_records
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import read_json, read_npz
from ltdm.plumbing.options import parse
from ltdm.reporting.rows import read_rows
from ltdm.stages import theory, theory_figure, theory_tables
from ltdm.theory.options import FIGURES, Sweep
from tests.unit.cli.test_cli import SMOKE, ltdm
from tests.unit.config.test_config import edited

TINY = {
    "head": 30, "tails": [6, 12, 24], "betas": [0, 1 / 3, 1], "seeds": 2, "width": 8,
    "noise_draws": 4, "samples": 20, "kl_samples": 10, "samplers": [{"name": "heun", "steps": 4}],
    "steps": [4, 40],
}  # fmt: skip
SMALL = {**TINY, "tails": [6]}
SOLID = [{"a": [{"mean": [0, 0, 0]}]}, {"b": [{"mean": [1, 0, 0], "std": 2}]}]


@pytest.mark.parametrize(
    ("given", "where", "message"),
    [
        ([1], "theory", "must be a mapping of options, not [1]"),
        ({"My toy": {}}, "theory", "the name 'My toy' must be text of small letters"),
        ({"toy": ["betas"]}, "theory.toy", "must be a mapping of options"),
        ({"toy": {"beta": [0]}}, "theory.toy.beta", "unknown key; did you mean 'betas'?"),
        ({"toy": {"betas": []}}, "theory.toy.betas", "must name at least one, in rising order"),
        ({"toy": {"betas": [1, 0]}}, "theory.toy.betas", "in rising order"),
        ({"toy": {"betas": [0, 0]}}, "theory.toy.betas", "in rising order"),
        ({"toy": {"betas": [-1, 0]}}, "theory.toy.betas", "must be at least 0"),
        ({"toy": {"steps": [9, 3]}}, "theory.toy.steps", "in rising order"),
        ({"toy": {"tails": [9, 2000]}}, "theory.toy.tails", "must not be above head (1000)"),
        ({"toy": {"tails": [0]}}, "theory.toy.tails", "must be at least 1"),
        ({"toy": {"update_order": "sequentia"}}, "theory.toy.update_order", "sequential"),
        (
            {"toy": {"samplers": [{"name": "heun", "step": 4}]}}, "theory.toy.samplers.0.step",
            "'steps'",
        ),
        (
            {"toy": {"samplers": ["heun", {"name": "ddim", "steps": 1001}]}},
            "theory.toy.samplers.1.steps", "is 1001, but the process has only 1000 levels",
        ),
        ({"toy": {"samplers": ["heun", "heun"]}}, "theory.toy.samplers", "names a sampler twice"),
        ({"toy": {"ridge": 0}}, "theory.toy.ridge", "must be above 0"),
        (
            {"toy": {"width": 4096}}, "theory.toy.width",
            "makes matrices of 2.7 GB for a seed's games, and 2 are allowed; lower it, or cut",
        ),
        ({"toy": {"figures": ["scores", "scores"]}}, "theory.toy.figures", "names a figure twice"),
        ({"toy": {"figures": ["scors"]}}, "theory.toy.figures", "scores"),
        (
            {"toy": {"figures": ["v-curve"], "betas": [0]}}, "theory.toy.figures",
            "v-curve is drawn over betas; name several",
        ),
        (
            {"toy": {"figures": ["generalisation"]}}, "theory.toy.figures",
            "generalisation is drawn over tails; name several",
        ),
        (
            {"toy": {"figures": ["clouds"], "classes": SOLID}}, "theory.toy.figures",
            "scores and clouds are drawn of two dimensions alone",
        ),
        ({"toy": {"classes": "separate"}}, "theory.toy.classes", "did you mean 'separated'?"),
        (
            {"toy": {"classes": [*SOLID, {"worst": [{"mean": [0, 0, 0]}]}]}}, "theory.toy.classes",
            "a class called worst is taken for the worst one",
        ),
        ({"toy": {"classes": SOLID[:1]}}, "theory.toy.classes", "a list of at least two classes"),
        (
            {"toy": {"classes": [{"a": [{"mean": [0]}]}, SOLID[1]]}},
            "theory.toy.classes.1.b.0.mean", "has 3 dimensions, but the first mean has 1",
        ),
    ],
)  # fmt: skip
def test_refuses_a_sweep_with_the_place(given, where, message):
    with pytest.raises(OptionError) as caught:
        Experiment(edited("theory", given))
    place, _, said = str(caught.value).partition(": ")
    assert place == where
    assert message in said
    assert "\n" not in said


def test_figures_and_defaults_decide_no_rows():
    one = parse(Sweep, {**TINY, "seeds": 10, "ridge": 1e-6, "figures": list(FIGURES)}, ("theory",))
    assert one.spec() == parse(Sweep, {k: v for k, v in TINY.items() if k != "seeds"}).spec()
    assert not {"figures", "seeds", "ridge"} & one.spec().keys()
    assert parse(Sweep, one.spec()) == parse(Sweep, {**TINY, "seeds": 10})
    assert parse(Sweep, {"classes": SOLID}).classes.dimension == 3
    assert parse(Sweep, None).spec() == {}, "a sweep may be all defaults"
    assert one.games == 90


def test_what_is_made_from_what():
    one = Experiment(edited("theory", {"b": TINY, "a": None}))
    assert list(one.sweeps) == ["a", "b"]
    made = {str(k): list(map(str, v)) for k, v in lineage(one).items()}
    at = "results/smoke"
    for name in ("a", "b"):
        for ending in ("csv", "npz", "json"):
            assert made[f"{at}/theory/{name}.{ending}"] == [], "from the config alone"
    both = [f"{at}/theory/{name}.csv" for name in ("a", "b")]
    for table in ("theory", "theory-a", "theory-b"):
        for form in ("csv", "md", "tex"):
            assert made[f"{at}/tables/{table}.{form}"] == both
    known = {each.record.as_posix(): each.request for each in expected_records(one)}
    assert known[f"{at}/theory/b.json"]["spec"] == one.sweeps["b"].spec()
    assert known[f"{at}/theory/a.json"]["spec"] == {}
    without = Experiment(edited("theory", {}))
    assert not [path for path in lineage(without) if "theory" in str(path)]
    assert not [each for each in expected_records(without) if "theory" in str(each.record)]


@pytest.fixture
def config(tmp_path):
    """Two sweeps beside the smoke experiment, and where their results lie."""
    over, sweeps = tmp_path / "over.yaml", {"one": SMALL, "other": {**SMALL, "betas": [0]}}
    over.write_text(yaml.safe_dump({"theory": sweeps}))
    return SMOKE, over, "--results", tmp_path


def test_by_hand(config, tmp_path):
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
    said = f"{root}/theory/other.csv\n{root}/tables/theory.csv\n| sweep | tail | beta | finding"
    assert said in printed
    assert "| tail | steps | beta" in (root / "tables/theory-one.md").read_text()
    assert {f: f.read_bytes() for f in before} == before, "the same again, byte for byte"
    names = {f.name for f in (root / "tables").iterdir()}
    tables = ("theory", "theory-one", "theory-other")
    assert names == {f"{table}.{form}" for table in tables for form in ("csv", "md", "tex")}


def test_asked_for_what_is_not_there(config, tmp_path):
    for command in ("theory", "bench-theory"):
        printed = ltdm(command, *config, "--sweep", "othr", code=1)
        assert printed == "ltdm: 'othr' is not under `theory`; did you mean 'other'?\n"
        printed = ltdm(command, SMOKE, code=1)
        assert printed.startswith("ltdm: the config has no sweeps under `theory`; config/theory.y")
    over = tmp_path / "fast.yaml"
    over.write_text("theory: {one: {step: 1.0e+6}}")
    printed = ltdm("theory", *config[:2], over, *config[2:], "--sweep", "one", code=1)
    assert "twice as far from the equilibrium as at first; lower the sweep's step" in printed
    assert not (tmp_path / "smoke/theory").exists()


def test_what_a_sweep_costs(config, tmp_path):
    file = tmp_path / "bench.json"
    printed = ltdm("bench-theory", *config, "--updates", 30, "--json", file).splitlines()
    assert printed[0] == "one: 6 games of 40 updates, 1 threads", "the one of the most games"
    assert [line.partition(":")[0] for line in printed[1:]] == [
        "one seed's games at once", "one at a time, by squaring too",
        "one at a time, update by update",
    ]  # fmt: skip
    assert printed[-1].endswith("(measured on 3 games and 30 updates of each)")
    found = json.loads(file.read_text())
    assert found["alone_ratio"] == pytest.approx(found["alone_s"] / found["together_s"])
    assert found["stepping_s"] > found["alone_s"] > 0
    assert {"torch"} < found["versions"].keys()
    assert ltdm("bench-theory", *config, "--sweep", "other", "--updates", 2).startswith("other: 2")


def test_rows_of_another_sweep_are_found(config, tmp_path):
    ltdm("theory", *config, "--sweep", "one")

    def check(**changes):
        sweeps = {"one": {**SMALL, **changes}}
        check_records(Experiment(edited("theory", sweeps), tmp_path), lambda file: None)

    check()
    check(figures=["nash-gap"], seeds=2, ridge=1e-6)
    with pytest.raises(LtdmError, match=r"theory/one.json \(spec.head was 30, now 31\)"):
        check(head=31)
    with pytest.raises(LtdmError, match=r"one.json \(spec.ridge was unset, now 0.001\)"):
        check(ridge=1e-3)


def run(folder, **changes):
    spec = parse(Sweep, {**TINY, **changes}).spec()
    files = {"rows": folder / "rows.csv", "networks": folder / "networks.npz"}
    theory.run({"spec": spec, "code": "this"}, **files, record=folder / "record.json")
    return spec, files


def test_every_figure_of_a_sweep(tmp_path):
    spec, files = run(tmp_path)
    for figure in FIGURES:
        pictures = {ending: tmp_path / f"{figure}.{ending}" for ending in ("png", "svg")}
        request = {"spec": spec, "sweep": "toy", "figure": figure, "code": "this"}
        theory_figure.run(request, **files, **pictures)
        assert all(picture.stat().st_size > 5000 for picture in pictures.values())


@pytest.mark.parametrize(("best", "models"), [(1, 2), (0, 1)])
def test_fields_and_clouds_show_the_best_weight_beside_none(tmp_path, best, models):
    """Also where it has more digits than the rows hold."""
    spec, files = run(tmp_path, tails=[6], classes=[*SOLID, {"c": [{"mean": [0, 3, 0]}]}])
    rows = read_rows(files["rows"])
    worst = rows["metric"].eq("kl") & rows["group"].eq("worst") & rows["steps"].eq(40)
    rows.loc[worst, "value"] = (rows.loc[worst, "beta"] - TINY["betas"][best]).abs()
    gallery = theory_figure.Gallery(parse(Sweep, spec), files["networks"], rows)
    assert list(gallery.models) == [f"beta {b:g}" for b in TINY["betas"][:2]][:models]
    for c in range(3):
        assert list(gallery.authors(c)) == ["exact", *gallery.models]


def test_tables_of_several_sweeps(tmp_path):
    one = {**SMALL, "betas": [0, 0.1, 1], "figures": ["v-curve"]}
    sweeps = {"one": one, "far": {**SMALL, "classes": "separated"}}
    rows, specs = {}, {}
    for name, sweep in sweeps.items():
        (tmp_path / name).mkdir()
        run(tmp_path / name, **sweep)
        rows[name], specs[name] = tmp_path / name / "rows.csv", sweep
    files = {"findings": tmp_path / "tables/theory.csv", "tables": [], "others": []}
    theory_tables.run({"specs": specs, "code": "this"}, rows=[*rows.values()], **files)
    known = [pd.read_csv(tmp_path / f"tables/theory-{name}.csv") for name in sweeps]
    assert known[0]["reported frechet (head)"].tolist()[::3] == [2.766] * 2
    assert "reported frechet (head)" not in known[1], "reported of the overlapping classes alone"
    assert {*pd.read_csv(tmp_path / "tables/theory.csv")["sweep"]} == {"one"}
