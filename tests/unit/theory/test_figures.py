"""Figures of the theory lab: what each shows, of little and of much."""

from itertools import product

import numpy as np
import pytest

from ltdm.reporting import style
from ltdm.theory import figures
from ltdm.theory.figures import PointCloud, ScoreField
from tests.helpers.theory_rows import BETAS, sweep


@pytest.fixture(autouse=True)
def _style():
    style.use()


def labels(axes):
    return [t.get_text() for t in axes.get_legend().get_texts()]


def test_a_v_for_each_tail_and_training():
    figure = figures.plot_v_curve(sweep(tails=(5, 50)), "toy")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["5", "50"]
    assert [axes.get_title() for axes in figure.axes] == [
        f"{metric}, {updates} updates"
        for updates, metric in product(("64", "1,024"), ("frechet-heun", "kl"))
    ]
    last = figure.axes[-1]
    line, ring, *_ = last.get_lines()
    assert line.get_xdata() == pytest.approx([0.01 / 3, 0.01, 0.1, 1]), "0 at the left end"
    means = [((x + 3.2) * (x + 3.3)) ** 0.5 for x in (0.1, 0.09, 0, 0.9)]
    assert line.get_ydata() == pytest.approx(means), "means of logarithms"
    assert ring.get_xydata() == pytest.approx(np.array([[0.1, means[2]]]))
    assert [t.get_text() for t in last.get_xticklabels()] == ["0", "0.01", "0.1", "1"]


def test_gaps_over_updates_and_over_weights():
    left, right = figures.plot_nash_gap(sweep(tails=(5, 50)), "toy").axes
    assert labels(left) == [
        *(f"{beta:g}: slope -0.50" for beta in BETAS), "the bound's $T^{-1/2}$",
    ]  # fmt: skip
    assert labels(right)[0] == "Nash gap after 1,024 updates"
    at_the_end = right.get_lines()[2]
    assert at_the_end.get_xydata() == pytest.approx(np.array([[b, 2**0.5 * b] for b in BETAS[1:]]))
    many = figures.plot_nash_gap(sweep(betas=tuple(np.arange(12) / 4)), "toy").axes[0]
    told = [label.partition(":")[0] for label in labels(many)[:-1]]
    assert len(told) == figures.MAX_LINES
    assert (told[0], told[-1]) == ("0", "2.75")


def test_gaps_over_points():
    axes = figures.plot_generalisation(sweep(tails=(5, 10, 50)), "toy").axes[0]
    assert labels(axes) == [*(f"{beta:g}: slope -1.00" for beta in BETAS), "$1 / n_y$"]
    assert axes.get_xlabel() == "points of the tail"
    assert axes.get_lines()[0].get_xydata() == pytest.approx(
        np.array([[n, 6**0.5 / n] for n in (5, 10, 50)])
    )


@pytest.mark.parametrize("axes", [
    {}, {"seeds": 1}, {"betas": (0.0,)}, {"betas": (0.1,)}, {"betas": (0.01, 1.0)},
    {"betas": (0.0, 2.0, 5.0)}, {"tails": tuple(range(2, 20))},
    {"steps": (16,)}, {"steps": (1,), "seeds": 1, "betas": (0.0,)},
])  # fmt: skip
def test_curves_over_little_and_over_much(axes):
    rows = sweep(**{"tails": (10,), **axes})
    unlucky = rows.assign(value=-rows["value"].where(rows["metric"] == "generalisation-gap"))
    for draw, shown in (("plot_v_curve", rows), ("plot_nash_gap", rows), ("plot_generalisation", rows),
                        ("plot_generalisation", unlucky)):  # fmt: skip
        figure = getattr(figures, draw)(shown, "toy")
        figure.canvas.draw()
        for panel in figure.axes:
            assert any(t.get_text() for t in panel.get_xticklabels())


def test_a_sheet_of_scores_and_one_of_clouds():
    line = np.linspace(-1, 1, 9)
    grid = np.stack(np.meshgrid(line, line), -1)
    flat = np.exp(-(grid**2).sum(-1))
    fields, drawn, stream = {}, {}, np.random.default_rng(0)
    for c, who in product(("head", "tail"), ("exact", "beta 0", "beta 1")):
        fields[c, who] = ScoreField(grid, -grid, 0 * flat if who == "exact" else flat, flat, 0.25)
        seen = stream.normal(size=(50 if c == "tail" else 500, 2))
        far = 1e3 if who == "beta 1" else 1.0
        drawn[c, who] = PointCloud(far * stream.normal(size=(30, 2)), seen, 1.5)
    made = figures.plot_scores(fields, "fields"), figures.plot_clouds(drawn, "clouds")
    for figure, said in zip(made, ("error 0.25", "Frechet distance 1.50"), strict=True):
        figure.canvas.draw()
        assert [a.get_title() for a in figure.axes[:3]] == ["exact", "beta 0", "beta 1"]
        assert [a.get_ylabel() for a in figure.axes] == ["head", "", "", "tail", "", ""]
        assert {a.get_xlabel() for a in figure.axes} == {said}
    shown = [len(axes.collections) for axes in made[1].axes]
    assert shown == [1, 1, 1, 2, 2, 2], "training points of the small class alone"
    assert len({axes.get_xlim() for axes in made[1].axes}) == 1
    assert made[1].axes[0].get_xlim()[1] < 10, "the exact scores' reach, not that of what fails"
