"""Figures of the theory lab: what each shows, and that small and large sweeps can be drawn."""

from itertools import product

import numpy as np
import pytest

from ltdm.reporting import style
from ltdm.stages import theory_figure
from ltdm.theory import curves, figures, panels
from ltdm.theory.panels import PointCloud, ScoreField
from tests.helpers.theory_rows import BETAS, sweep


@pytest.fixture(autouse=True)
def _style():
    style.use()


def legend_labels(axes):
    return [t.get_text() for t in axes.get_legend().get_texts()]


def test_v_curve_has_a_line_per_tail_and_a_panel_per_metric_and_step():
    figure = figures.plot_v_curve(curves.v_curve_frame(sweep(tails=(5, 50))), "toy")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["5", "50"]
    assert [axes.get_title() for axes in figure.axes] == [
        f"{metric}, {steps} steps"
        for steps, metric in product(("64", "1,024"), ("frechet-heun", "kl"))
    ]
    last = figure.axes[-1]
    line, ring, *_ = last.get_lines()
    assert line.get_xdata() == pytest.approx([0.01 / 3, 0.01, 0.1, 1]), "0 at the left end"
    means = [((x + 3.2) * (x + 3.3)) ** 0.5 for x in (0.1, 0.09, 0, 0.9)]
    assert line.get_ydata() == pytest.approx(means), "means of logarithms"
    assert ring.get_xydata() == pytest.approx(np.array([[0.1, means[2]]]))
    assert [t.get_text() for t in last.get_xticklabels()] == ["0", "0.01", "0.1", "1"]


def test_nash_gap_by_steps_and_by_beta():
    left, right = figures.plot_nash_gap(curves.nash_gap_frame(sweep(tails=(5, 50))), "toy").axes
    slopes = [f"{beta:g}: slope -0.50" for beta in BETAS]
    assert legend_labels(left) == [*slopes, "the bound's $T^{-1/2}$"]
    assert legend_labels(right)[0] == "Nash gap after 1,024 steps"
    at_equilibrium = right.get_lines()[2]
    assert at_equilibrium.get_xydata() == pytest.approx(
        np.array([[b, 2**0.5 * b] for b in BETAS[1:]])
    )
    many = curves.nash_gap_frame(sweep(betas=tuple(np.arange(12) / 4)))
    labels = legend_labels(figures.plot_nash_gap(many, "toy").axes[0])
    betas = [label.partition(":")[0] for label in labels[:-1]]
    assert len(betas) == curves.MAX_LINES
    assert (betas[0], betas[-1]) == ("0", "2.75")


def test_generalisation_gap_by_points():
    frame = curves.generalisation_frame(sweep(tails=(5, 10, 50)))
    figure = figures.plot_generalisation(frame, "toy")
    (axes,), (legend,) = figure.axes, figure.legends
    slopes = [f"{beta:g}: slope -1.00" for beta in BETAS]
    assert [text.get_text() for text in legend.get_texts()] == [*slopes, "$1 / n_y$"]
    assert axes.get_xlabel() == "points of the tail"
    assert axes.get_lines()[0].get_xydata() == pytest.approx(
        np.array([[n, 6**0.5 / n] for n in (5, 10, 50)])
    )


@pytest.mark.parametrize(
    "axes",
    [
        {},
        {"seeds": 1},
        {"betas": (0.0,)},
        {"betas": (0.1,)},
        {"betas": (0.01, 1.0)},
        {"betas": (0.0, 2.0, 5.0)},
        {"tails": tuple(range(2, 20))},
        {"steps": (16,)},
        {"steps": (1,), "seeds": 1, "betas": (0.0,)},
    ],
)
def test_curves_of_small_and_large_sweeps_can_be_drawn(axes):
    rows = sweep(**{"tails": (10,), **axes})
    negative = rows.assign(value=-rows["value"].where(rows["metric"] == "generalisation-gap"))
    plots = list(theory_figure.CURVES.values())
    for (frame, plot), plot_rows in (*((pair, rows) for pair in plots), (plots[-1], negative)):
        figure = plot(frame(plot_rows), "toy")
        figure.canvas.draw()
        for panel in figure.axes:
            assert any(t.get_text() for t in (*panel.get_xticklabels(), *panel.texts))


def test_panels_of_scores_and_of_clouds():
    line = np.linspace(-1, 1, 9)
    grid = np.stack(np.meshgrid(line, line), -1)
    flat = np.exp(-(grid**2).sum(-1))
    fields, clouds, rng = {}, {}, np.random.default_rng(0)
    for c, source in product(("head", "tail"), ("exact", "beta 0", "beta 1")):
        error = 0 * flat if source == "exact" else flat
        fields[c, source] = ScoreField(grid, -grid, error, flat, 0.25)
        training = rng.normal(size=(50 if c == "tail" else 500, 2))
        scale = 1e3 if source == "beta 1" else 1.0
        clouds[c, source] = PointCloud(scale * rng.normal(size=(30, 2)), training, 1.5)
    plots = panels.plot_scores(fields, "fields"), panels.plot_clouds(clouds, "clouds")
    for figure, label in zip(plots, ("error 0.25", "Frechet distance 1.50"), strict=True):
        figure.canvas.draw()
        assert [a.get_title() for a in figure.axes[:3]] == ["exact", "beta 0", "beta 1"]
        assert [a.get_ylabel() for a in figure.axes] == ["head", "", "", "tail", "", ""]
        assert {a.get_xlabel() for a in figure.axes} == {label}
    collections = [len(axes.collections) for axes in plots[1].axes]
    assert collections == [1, 1, 1, 2, 2, 2], "training points of the small class only"
    assert len({axes.get_xlim() for axes in plots[1].axes}) == 1
    assert plots[1].axes[0].get_xlim()[1] < 10, "limits follow the exact scores' samples"
