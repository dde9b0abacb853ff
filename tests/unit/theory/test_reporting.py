"""Tables and findings of the theory lab, from rows with known answers."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest

from ltdm.reporting.compare import NO_INTERVAL
from ltdm.reporting.writing import write_table
from ltdm.theory import findings, tables
from ltdm.theory.findings import Fit
from tests.helpers.theory_rows import BETAS, GROUPS, made, sweep

# Fits


def test_a_fit_recovers_a_slope_and_leaves_out_what_rounding_made():
    x = np.array([1.0, 4.0, 16.0, 64.0])
    curves = pd.DataFrame({s: (1 + s) * x**slope for s, slope in enumerate((-0.6, -0.5, -0.4))}, x)
    fit = Fit(curves)
    assert fit.slope.difference == pytest.approx(-0.5), "the mean of the seeds' slopes"
    assert fit.slope.high - fit.slope.low == pytest.approx(2 * 4.302653 * 0.1 / 3**0.5)
    assert (fit.slope.seeds, fit.at.tolist()) == (3, x.tolist())
    same = pd.DataFrame({s: (1 + s) * x**-0.5 for s in range(3)}, x)
    assert Fit(same).slope == pytest.approx((-0.5, -0.5, -0.5, 3))
    assert Fit(same).line == pytest.approx(6 ** (1 / 3) * x**-0.5), "through the mean of logs"
    same.loc[64.0, 1] = findings.RESOLVED / 2
    assert Fit(same).at.tolist() == [1, 4, 16], "of one seed is enough"
    assert Fit(same).slope.difference == pytest.approx(-0.5)


def test_a_fit_s_interval_covers_the_slope_as_often_as_it_says():
    stream, x = np.random.default_rng(0), 2.0 ** np.arange(8)
    fits = [
        Fit(pd.DataFrame((x**-0.5)[:, None] * np.exp(stream.normal(0, 0.05, (8, 4))), x)).slope
        for _ in range(300)
    ]
    assert np.mean([f.low <= -0.5 <= f.high for f in fits]) == pytest.approx(0.95, abs=0.035)


def test_a_fit_says_nothing_of_one_point_and_no_interval_of_one_seed():
    for x in ([], [4.0]):
        fit = Fit(pd.DataFrame({0: [1.0] * len(x)}, index=x))
        assert fit.slope == NO_INTERVAL
        assert len(fit.at) == len(fit.line) == 0
    one = Fit(pd.DataFrame({0: [1.0, 0.25]}, index=[1.0, 2.0])).slope
    assert (one.difference, one.seeds) == (pytest.approx(-2), 1)
    assert math.isnan(one.low)
    assert not one.significant


# Tables

SEEDS = {0.0: [2.0, 2.4], 0.01: [1.5, 2.7], 0.1: [1.0, 1.2], 1.0: [5.0, 5.2]}
FRECHET = {beta: [*two, 2.0, 2.5, 3.0] for beta, two in SEEDS.items()}
REPORTED = {0.0: {"head": (2.766, 0.534), "tail": (1.984, 0.321)},
            1.0: {"head": (1.954, 0.403), "tail": (2.021, 0.37)}}  # fmt: skip


def by_game(seeds=2, **axes):
    exact = {"tails": (math.nan,), "betas": (math.nan,), "steps": (9.0,)}
    return pd.concat([
        made("frechet-heun", lambda g, s, t, b, u: FRECHET[b][s], GROUPS, seeds, **axes),
        made("kl", lambda g, s, t, b, u: 1 + b, GROUPS, seeds, **axes),
        made("frechet-heun", lambda g, s, *_: (0.25 if g == "tail" else 1) + s / 2, GROUPS, seeds,
             **exact),
    ])  # fmt: skip


def test_a_line_for_each_game():
    table = tables.measures(by_game(tails=(5, 50)), ["head", "tail"], {})
    assert table.cells.index.names == ["tail", "steps", "beta"]
    assert len(table.cells) == 2 * 2 * len(BETAS), "none for the exact scores"
    assert list(table.cells.index[:5]) == [
        (5, 64, "0"), (5, 64, "0.01"), (5, 64, "0.1"), (5, 64, "1"), (5, 1024, "0"),
    ]  # fmt: skip
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
    assert table.legend[0].startswith("± standard deviation over 2 seeds; of kl the median")
    assert table.legend[-1].endswith("scores, frechet-heun is 1.250 (head), 0.500 (tail).")


def test_of_kl_the_middle_is_shown_since_a_few_seeds_are_huge():
    rows = pd.concat([
        by_game(5)[lambda r: r["metric"] != "kl"],
        made("kl", lambda g, s, t, b, u: [1.0, 2.0, 3.0, 4.0, 1e6][s] * (1 + b), GROUPS, 5),
    ])  # fmt: skip
    cell = tables.measures(rows, ["head", "tail"], {}).cells["kl (tail) ↓"].iloc[0]
    assert (cell.mean, cell.deviation, cell.best) == (3, 1, True)


def test_changes_are_shares_of_the_mean_of_logarithms():
    mine, theirs = (pd.Series(v, index=[0, 1]) for v in ([1.0, 1e3], [2.0, 2e3]))
    assert tables.change(mine, theirs) == pytest.approx((-0.5, -0.5, -0.5, 2))
    told = tables.change(mine, pd.Series([4.0, 1e3], index=[0, 1]))
    assert told.difference == pytest.approx(-0.5) and not told.significant
    below = pd.Series([-0.1, 0.0], index=[0, 1])
    assert tables.change(below, below) == pytest.approx((0, 0, 0, 2)), "what draws cannot tell"


def test_what_is_reported_stands_beside_the_weights_it_is_reported_for():
    table = tables.measures(by_game(betas=(0.0, 1.0)), ["head", "tail"], REPORTED)
    assert list(table.cells)[-2:] == ["reported frechet (head)", "reported frechet (tail)"]
    texts = [cell.to_text() for cell in table.cells["reported frechet (tail)"]]
    assert texts == ["1.98 ± 0.32", "2.02 ± 0.37"] * 2
    assert table.cells.iloc[0, -1].csv_values()[" sd"] == 0.321, "over their runs"
    assert not any(
        cell.best or cell.not_significant for cell in table.cells["reported frechet (head)"]
    )
    others = tables.measures(by_game(), ["head", "tail"], REPORTED)
    assert "reported frechet (head)" not in others.cells, "there are weights that none is of"


def test_one_seed_tells_no_spread_and_a_game_alone_is_no_best():
    table = tables.measures(by_game(1, betas=(0.1,)), ["head", "tail"], {})
    assert [c.to_text("**{}**") for c in table.cells["kl (head) ↓"]] == ["1.10"] * 2
    assert table.legend[0] == "One seed."


# Findings


def found(rows, *figures):
    """What is found, by weight, finding and claim."""
    table = findings.findings({"one": (rows, figures)})
    assert {index[0] for index in table.cells.index} <= {"one"}
    return {index[1:]: cell.interval for index, cell in table.cells["found"].items()}


def test_the_optimum_of_a_v():
    v = {0.0: 3.0, 0.01: 2.0, 0.1: 1.0, 1.0: 5.0}
    rows = pd.concat([
        made("kl", lambda g, s, t, b, u: v[b] * (1 + s), steps=(1024,)),
        made("frechet-heun", lambda g, s, t, b, u: 1 + b, steps=(1024,)),
        made("kl", lambda *_: 0.5, ("head",), steps=(1024,)),
    ])  # fmt: skip
    told = found(rows, "v-curve")
    changes = {
        ("0.1", "kl", 0): 1 / 3 - 1, ("0.1", "kl", 1): 1 / 5 - 1,
        ("0, the least", "frechet-heun", 1): 1 / 2 - 1,
    }  # fmt: skip
    assert told == {
        (50, best, f"worst {metric} after 1024 updates, against beta = {other}", "below 0"):
            pytest.approx((share, share, share, 2))
        for (best, metric, other), share in changes.items()
    }  # fmt: skip
    assert found(rows[rows["beta"] == 0], "v-curve") == {}, "nothing beside itself"


def test_slopes_of_the_gaps():
    told = found(sweep(tails=(10, 20, 50)), "nash-gap", "generalisation")
    for tail, beta in product((10, 20, 50), ("0", "0.01", "0.1", "1")):
        over_time = told.pop((tail, beta, "slope of the Nash gap over T", "-0.5"))
        assert over_time == pytest.approx((-0.5, -0.5, -0.5, 2)), "the first updates left out"
    for beta in ("0", "0.01", "0.1", "1"):
        where = "", beta, "slope of the generalisation gap over points", "-1"
        assert told.pop(where) == pytest.approx((-1, -1, -1, 2))
    over_beta = "slope of the own-cost gap over beta at the end", "1"
    assert told == {(t, "", *over_beta): pytest.approx((1, 1, 1, 2)) for t in (10, 20, 50)}
    assert found(sweep(tails=(10, 20)), "generalisation") == {}
    few = found(sweep(betas=(0.0, 0.1, 1.0)), "nash-gap")
    assert not [where for where in few if "own-cost" in where[2]], "two weights are no slope"


def test_how_far_the_step_is_from_the_largest_one():
    steps = made("step", lambda *_: 0.2, tails=(10, 20), steps=(1,))
    bounds = made("step-bound", lambda g, s, t, b, u: 0.8 / (1 + b), seeds=1, steps=(1,))
    told = found(pd.concat([steps, bounds]), "nash-gap")
    what = "step size over the largest that converges", "below 1"
    assert {where: change.difference for where, change in told.items()} == pytest.approx(
        {(50, f"{beta:g}", *what): 0.25 * (1 + beta) for beta in BETAS}
    )


def test_what_the_largest_weight_changes_in_each_class():
    told = found(sweep(steps=(64,)), "scores")
    what = "{} ({}) after 64 updates, against beta = 0"
    assert set(told) == {
        (50, "1", what.format(metric, c), "")
        for metric, c in product(("kl", "frechet-heun"), ("head", "tail"))
    }
    ends = [(g + 0.1 * s + 0.9 + 0.02) / (g + 0.1 * s + 0.1 + 0.02) for g, s in ((1, 0), (1, 1))]
    share = told[50, "1", what.format("kl", "head"), ""].difference
    assert share == pytest.approx((ends[0] * ends[1]) ** 0.5 - 1)
    assert found(sweep(betas=(0.1,)), "scores") == {}, "nothing beside itself"


def test_only_what_a_sweep_draws_is_looked_for(tmp_path):
    rows = sweep(tails=(10, 20, 50))
    both = findings.findings({"a": (rows, ("generalisation",)), "b": (rows, ("clouds", "v-curve"))})
    assert both.cells.index.names == ["sweep", "tail", "beta", "finding", "claimed"]
    assert {(i[0], i[3].split()[0]) for i in both.cells.index} == {("a", "slope"), ("b", "worst")}
    nothing = findings.findings({"a": (rows, ())})
    for name, table in (("both", both), ("nothing", nothing)):
        write_table(table, tmp_path / name)
    head = "| sweep | tail | beta | finding | claimed | found |"
    assert (tmp_path / "nothing.md").read_text().startswith(head)
    assert (tmp_path / "nothing.csv").read_text() == "sweep,tail,beta,finding,claimed\n"
    assert "| slope of the generalisation gap over points" in (tmp_path / "both.md").read_text()
