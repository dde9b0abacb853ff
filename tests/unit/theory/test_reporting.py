"""Tables and findings of the theory lab, from rows whose results are known."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest

from ltdm.reporting.compare import NO_INTERVAL
from ltdm.reporting.writing import write_table
from ltdm.theory import findings, tables
from ltdm.theory.findings import PowerLaw
from tests.helpers.theory_rows import BETAS, GROUPS, metric_rows, sweep

# Fits


def test_a_power_law_recovers_slopes_and_excludes_values_below_rounding():
    x = np.array([1.0, 4.0, 16.0, 64.0])
    curves = pd.DataFrame({s: (1 + s) * x**slope for s, slope in enumerate((-0.6, -0.5, -0.4))}, x)
    fit = PowerLaw(curves)
    assert fit.slope.difference == pytest.approx(-0.5), "the mean of the seeds' slopes"
    assert fit.slope.high - fit.slope.low == pytest.approx(2 * 4.302653 * 0.1 / 3**0.5)
    assert (fit.slope.seeds, fit.x.tolist()) == (3, x.tolist())
    same = pd.DataFrame({s: (1 + s) * x**-0.5 for s in range(3)}, x)
    assert PowerLaw(same).slope == pytest.approx((-0.5, -0.5, -0.5, 3))
    assert PowerLaw(same).y == pytest.approx(6 ** (1 / 3) * x**-0.5), "through the mean of logs"
    same.loc[64.0, 1] = findings.ROUNDING_LIMIT / 2
    assert PowerLaw(same).x.tolist() == [1, 4, 16], "one seed below the limit is enough"
    assert PowerLaw(same).slope.difference == pytest.approx(-0.5)


def test_a_power_law_s_interval_has_its_nominal_coverage():
    rng, x = np.random.default_rng(0), 2.0 ** np.arange(8)
    fits = [
        PowerLaw(pd.DataFrame((x**-0.5)[:, None] * np.exp(rng.normal(0, 0.05, (8, 4))), x)).slope
        for _ in range(300)
    ]
    assert np.mean([f.low <= -0.5 <= f.high for f in fits]) == pytest.approx(0.95, abs=0.035)


def test_one_point_has_no_slope_and_one_seed_no_interval():
    for x in ([], [4.0]):
        fit = PowerLaw(pd.DataFrame({0: [1.0] * len(x)}, index=x))
        assert fit.slope == NO_INTERVAL
        assert len(fit.x) == len(fit.y) == 0
    slope = PowerLaw(pd.DataFrame({0: [1.0, 0.25]}, index=[1.0, 2.0])).slope
    assert (slope.difference, slope.seeds) == (pytest.approx(-2), 1)
    assert math.isnan(slope.low)
    assert not slope.significant


# Tables

SEEDS = {0.0: [2.0, 2.4], 0.01: [1.5, 2.7], 0.1: [1.0, 1.2], 1.0: [5.0, 5.2]}
FRECHET = {beta: [*two, 2.0, 2.5, 3.0] for beta, two in SEEDS.items()}
REPORTED = {
    0.0: {"head": (2.766, 0.534), "tail": (1.984, 0.321)},
    1.0: {"head": (1.954, 0.403), "tail": (2.021, 0.37)},
}


def game_rows(seeds=2, **axes):
    """Rows of two metrics of all games, and of the exact scores."""
    frechet = metric_rows(
        "frechet-heun", lambda g, s, t, b, u: FRECHET[b][s], GROUPS, seeds, **axes
    )
    kl = metric_rows("kl", lambda g, s, t, b, u: 1 + b, GROUPS, seeds, **axes)
    axes = {"tails": (math.nan,), "betas": (math.nan,), "steps": (9.0,)}
    values = {"head": 1, "tail": 0.25, "worst": 1}
    exact = metric_rows("frechet-heun", lambda g, s, *_: values[g] + s / 2, GROUPS, seeds, **axes)
    return pd.concat([frechet, kl, exact])


def test_the_table_has_a_line_per_game():
    table = tables.metrics_table(game_rows(tails=(5, 50)), ["head", "tail"], {})
    assert table.cells.index.names == ["tail", "steps", "beta"]
    assert len(table.cells) == 2 * 2 * len(BETAS), "no line for the exact scores"
    first_step = [(5, 64, beta) for beta in ("0", "0.01", "0.1", "1")]
    assert list(table.cells.index[:5]) == [*first_step, (5, 1024, "0")]
    assert list(table.cells) == [
        f"{metric} ({group}) ↓" for metric in ("frechet-heun", "kl") for group in ("head", "tail")
    ]
    first, close, best, worst = table.cells["frechet-heun (tail) ↓"].iloc[:4]
    assert (first.mean, first.seeds) == (pytest.approx(2.2), 2)
    assert first.deviation == pytest.approx(np.std([2.0, 2.4], ddof=1))
    assert [c.best for c in (first, close, best, worst)] == [False, False, True, False]
    assert [c.not_significant for c in (first, close, best, worst)] == [False, True, False, False]
    assert best.to_text("**{}**") == "**1.10 ± 0.14**"
    assert [c.best for c in table.cells["kl (tail) ↓"]] == [True, False, False, False] * 4
    assert "± standard deviation over 2 seeds; for kl, median" in table.legend[0]
    assert table.legend[-1].endswith("scores, frechet-heun is 1.250 (head), 0.500 (tail).")


def test_kl_is_shown_by_its_median_since_a_few_seeds_are_huge():
    kl = [1.0, 2.0, 3.0, 4.0, 1e6]
    kl_rows = metric_rows("kl", lambda g, s, t, b, u: kl[s] * (1 + b), GROUPS, 5)
    rows = pd.concat([game_rows(5)[lambda r: r["metric"] != "kl"], kl_rows])
    cell = tables.metrics_table(rows, ["head", "tail"], {}).cells["kl (tail) ↓"].iloc[0]
    assert (cell.mean, cell.deviation, cell.best) == (3, 1, True)


def test_relative_changes_are_of_mean_logarithms():
    values, baseline = (pd.Series(v, index=[0, 1]) for v in ([1.0, 1e3], [2.0, 2e3]))
    assert tables.relative_change(values, baseline) == pytest.approx((-0.5, -0.5, -0.5, 2))
    change = tables.relative_change(values, pd.Series([4.0, 1e3], index=[0, 1]))
    assert change.difference == pytest.approx(-0.5) and not change.significant
    below = pd.Series([-0.1, 0.0], index=[0, 1])
    assert tables.relative_change(below, below) == pytest.approx((0, 0, 0, 2)), (
        "distances below the sampling noise count as equal"
    )


def test_reported_distances_are_shown_if_they_cover_all_betas():
    table = tables.metrics_table(game_rows(betas=(0.0, 1.0)), ["head", "tail"], REPORTED)
    assert list(table.cells)[-2:] == ["reported frechet (head)", "reported frechet (tail)"]
    texts = [cell.to_text() for cell in table.cells["reported frechet (tail)"]]
    assert texts == ["1.98 ± 0.32", "2.02 ± 0.37"] * 2
    assert table.cells.iloc[0, -1].csv_values()[" sd"] == 0.321, "the reported deviation over runs"
    assert not any(
        cell.best or cell.not_significant for cell in table.cells["reported frechet (head)"]
    )
    others = tables.metrics_table(game_rows(), ["head", "tail"], REPORTED)
    assert "reported frechet (head)" not in others.cells, "betas without a reported distance"


def test_one_seed_has_no_deviation_and_a_single_game_no_best():
    table = tables.metrics_table(game_rows(1, betas=(0.1,)), ["head", "tail"], {})
    assert [c.to_text("**{}**") for c in table.cells["kl (head) ↓"]] == ["1.10"] * 2
    assert table.legend[0] == "One seed."


# Findings


def intervals(rows, *figures):
    """Return the intervals of the findings by (tail, beta, finding, claimed)."""
    table = findings.findings_table({"one": (rows, figures)})
    assert {index[0] for index in table.cells.index} <= {"one"}
    return {index[1:]: cell.interval for index, cell in table.cells["found"].items()}


def test_the_best_beta_of_a_v_curve():
    v = {0.0: 3.0, 0.01: 2.0, 0.1: 1.0, 1.0: 5.0}
    kl = metric_rows("kl", lambda g, s, t, b, u: v[b] * (1 + s), steps=(1024,))
    frechet = metric_rows("frechet-heun", lambda g, s, t, b, u: 1 + b, steps=(1024,))
    head = metric_rows("kl", lambda *_: 0.5, ("head",), steps=(1024,))
    rows = pd.concat([kl, frechet, head])
    by_key = intervals(rows, "v-curve")
    changes = {
        ("0.1", "kl", 0): 1 / 3 - 1,
        ("0.1", "kl", 1): 1 / 5 - 1,
        ("0, the smallest", "frechet-heun", 1): 1 / 2 - 1,
    }
    assert len(by_key) == len(changes)
    for (best, metric, other), change in changes.items():
        finding = f"worst {metric} after 1024 steps, against beta = {other}"
        interval = by_key[50, best, finding, "below 0"]
        assert interval == pytest.approx((change, change, change, 2))
    assert intervals(rows[rows["beta"] == 0], "v-curve") == {}, "a beta is not compared with itself"


def test_slopes_of_the_gaps():
    by_key = intervals(sweep(tails=(10, 20, 50)), "nash-gap", "generalisation")
    for tail, beta in product((10, 20, 50), ("0", "0.01", "0.1", "1")):
        over_steps = by_key.pop((tail, beta, "slope of the Nash gap over T", "-0.5"))
        assert over_steps == pytest.approx((-0.5, -0.5, -0.5, 2)), "the first steps are excluded"
    for beta in ("0", "0.01", "0.1", "1"):
        key = "", beta, "slope of the generalisation gap over points", "-1"
        assert by_key.pop(key) == pytest.approx((-1, -1, -1, 2))
    over_beta = "slope of the own-cost gap over beta at the equilibrium", "1"
    assert by_key == {(t, "", *over_beta): pytest.approx((1, 1, 1, 2)) for t in (10, 20, 50)}
    assert intervals(sweep(tails=(10, 20)), "generalisation") == {}
    few = intervals(sweep(betas=(0.0, 0.1, 1.0)), "nash-gap")
    assert not [key for key in few if "own-cost" in key[2]], "two betas give no slope"


def test_the_step_size_as_a_ratio_to_the_largest_that_converges():
    steps = metric_rows("step", lambda *_: 0.2, tails=(10, 20), steps=(1,))
    bounds = metric_rows("step-bound", lambda g, s, t, b, u: 0.8 / (1 + b), seeds=1, steps=(1,))
    by_key = intervals(pd.concat([steps, bounds]), "nash-gap")
    finding = "step size over the largest that converges", "below 1"
    assert {key: change.difference for key, change in by_key.items()} == pytest.approx(
        {(50, f"{beta:g}", *finding): 0.25 * (1 + beta) for beta in BETAS}
    )


def test_the_change_of_each_class_from_the_smallest_to_the_largest_beta():
    by_key = intervals(sweep(steps=(64,)), "scores")
    finding = "{} ({}) after 64 steps, against beta = 0"
    assert set(by_key) == {
        (50, "1", finding.format(metric, c), "")
        for metric, c in product(("kl", "frechet-heun"), ("head", "tail"))
    }
    ends = [(g + 0.1 * s + 0.9 + 0.02) / (g + 0.1 * s + 0.1 + 0.02) for g, s in ((1, 0), (1, 1))]
    change = by_key[50, "1", finding.format("kl", "head"), ""].difference
    assert change == pytest.approx((ends[0] * ends[1]) ** 0.5 - 1)
    assert intervals(sweep(betas=(0.1,)), "scores") == {}, "a beta is not compared with itself"


def test_findings_are_those_of_the_sweep_s_figures(tmp_path):
    rows = sweep(tails=(10, 20, 50))
    both = findings.findings_table(
        {"a": (rows, ("generalisation",)), "b": (rows, ("clouds", "v-curve"))}
    )
    assert both.cells.index.names == ["sweep", "tail", "beta", "finding", "claimed"]
    assert {(i[0], i[3].split()[0]) for i in both.cells.index} == {("a", "slope"), ("b", "worst")}
    nothing = findings.findings_table({"a": (rows, ())})
    for name, table in (("both", both), ("nothing", nothing)):
        write_table(table, tmp_path / name)
    head = "| sweep | tail | beta | finding | claimed | found |"
    assert (tmp_path / "nothing.md").read_text().startswith(head)
    assert (tmp_path / "nothing.csv").read_text() == "sweep,tail,beta,finding,claimed\n"
    assert "| slope of the generalisation gap over points" in (tmp_path / "both.md").read_text()
