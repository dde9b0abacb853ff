"""The plot of quality against the cost of training."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter

from ltdm.reporting.costs import cost_title
from ltdm.reporting.escapes import escape_label
from ltdm.reporting.figures import Looks
from ltdm.reporting.style import GREY, ONE_COLUMN, add_legend, add_note
from ltdm.reporting.tables import ARROWS

LOG_SPAN = 10  # between the smallest and the largest cost, from which on their axis is logarithmic


def plot_cost(frame: pd.DataFrame, dataset: str, looks: Looks) -> Figure:
    """Plot each run's quality against what its training cost (`cost_frame`).

    A step line joins the runs on the Pareto front. Runs without a cost or a value have no point.
    """
    finite = np.isfinite(frame[["forward_equivalents", "value"]].to_numpy(float)).all(axis=1)
    drawn = frame.loc[finite]
    costs = drawn["forward_equivalents"]
    figure, axes = plt.subplots(figsize=(ONE_COLUMN, 2.2))
    axes.set(title=escape_label(dataset))
    for column, up in frame[["column", "higher_is_better"]][:1].to_numpy():
        axes.set_ylabel(column + ARROWS[up])
    if drawn.empty:
        add_note(axes, "no run has both a value and a cost")
        return figure
    axes.set_xlabel("\n".join(cost_title(escape_label(drawn["unit_run"].iloc[0]))))
    if costs.max() > LOG_SPAN * costs.min():
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    numbers = drawn[["forward_equivalents", "value", "low", "high"]].to_numpy(float)
    for run, (x, y, low, high) in zip(drawn["run"], numbers, strict=True):
        look = {**looks[run], "linestyle": "none", "markersize": 4, "elinewidth": 0.8}
        axes.errorbar(x, y, yerr=[[y - low], [high - y]], label=escape_label(run), **look)
    front = drawn[drawn["on_front"]].sort_values("forward_equivalents")
    if len(front):
        limits = {"xlim": axes.get_xlim(), "ylim": axes.get_ylim()}
        ends = [*front["forward_equivalents"], limits["xlim"][1]]
        values = [*front["value"], front["value"].iloc[-1]]
        axes.step(ends, values, where="post", color=GREY, linewidth=0.8, label="Pareto front")
        axes.set(**limits)
    add_legend(figure, *axes.get_legend_handles_labels())
    return figure
