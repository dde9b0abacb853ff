"""Rows or networks of a sweep -> one of its figures."""

from functools import partial
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure

from ltdm.diffusion import vp
from ltdm.plumbing.files import read_npz
from ltdm.plumbing.options import parse
from ltdm.plumbing.request import Request
from ltdm.reporting import style
from ltdm.reporting.rows import read_rows
from ltdm.theory import figures
from ltdm.theory.densities import Mixture
from ltdm.theory.features import RandomFeatures
from ltdm.theory.figures import PointCloud, ScoreField
from ltdm.theory.flow import NoisePredictor
from ltdm.theory.measures import ModelMetrics, frechet
from ltdm.theory.options import Sweep
from ltdm.theory.points import class_counts, training_points
from ltdm.theory.tables import argmin_index, last_step, log_mean

CURVE_PLOTS = {
    "v-curve": figures.plot_v_curve,
    "nash-gap": figures.plot_nash_gap,
    "generalisation": figures.plot_generalisation,
}
SCORE_SIGMA = 1.0  # noise over signal at which scores are shown
GRID_POINTS = 61  # points along an axis where they are reckoned
GRID_STDS = 2.5  # standard deviations of the widest class that are shown


def run(request: Request, *, rows: Path, networks: Path, png: Path, svg: Path) -> None:
    """Write a figure of a sweep, from what the stage `theory` measured and kept.

    Scores and clouds are of the first seed and tail: the exact ones, and the networks' without
    mutual learning and with the weight that is best for the worst class. `request` has `spec`, the
    sweep's options, those at their defaults left out; `sweep`, its name; and `figure`, one of
    `ltdm.theory.options.FIGURES`.
    """
    style.use()
    measurements, name, figure = read_rows(rows), request["sweep"], request["figure"]
    sweep = parse(Sweep, request["spec"], ("theory", name))
    title = f"{name}: {sweep.tails[0]} points of the tail"
    for path in (png, svg):
        if figure in CURVE_PLOTS:
            plot = CURVE_PLOTS[figure](measurements, name)
        else:
            figure_data = FigureData(sweep, networks, measurements)
            plot = figure_data.scores(title) if figure == "scores" else figure_data.clouds(title)
        style.save(plot, path)


def _best_beta(rows: pd.DataFrame, sweep: Sweep) -> float:
    """Return the weight whose networks of the first tail are best for the worst class, by KL."""
    last = (rows["steps"] == last_step(rows)) & (rows["tail"] == sweep.tails[0])
    kl_rows = rows[last & (rows["metric"] == "kl") & (rows["group"] == "worst")]
    best = argmin_index(log_mean(kl_rows.pivot(index="beta", columns="seed", values="value")))
    # Rows hold ten digits of it.
    return min(sweep.betas, key=lambda beta: abs(beta - best))


class FigureData:
    """What a sweep's first networks say and draw."""

    def __init__(self, sweep: Sweep, networks: Path, rows: pd.DataFrame):
        W, U, A = (torch.from_numpy(part) for part in read_npz(networks, "W", "U", "A"))
        self.sweep, self.process = sweep, vp.build(vp.Options())
        self.net = RandomFeatures(W[None], U[None])
        self.classes = {n: Mixture(parts) for n, parts in sweep.classes.classes.items()}
        self.metrics = ModelMetrics(sweep, list(self.classes.values()), self.process, self.net, [0])
        betas = sorted({sweep.betas[0], _best_beta(rows, sweep)})
        self.models = {f"beta {b:g}": A[0, sweep.betas.index(b)] for b in betas}

    def score_sources(self, c: int) -> dict[str, NoisePredictor]:
        """Return what says the noise for class c, by name."""
        net = self.net.predict
        learned = {name: partial(net, A[c][None, None]) for name, A in self.models.items()}
        return {"exact": self.metrics.exact_predictor(c), **learned}

    def scores(self, title: str) -> Figure:
        """Draw score fields at one noise level."""
        signal, std = self.process.scales(self.process.level_of(SCORE_SIGMA))
        widest = max(
            float(density.moments()[1].diagonal().max()) for density in self.classes.values()
        )
        line = torch.linspace(-1, 1, GRID_POINTS, dtype=torch.float64) * GRID_STDS * widest**0.5
        grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
        fields = {}
        for c, (name, density) in enumerate(self.classes.items()):
            exact, log_p = (f(grid, signal, std) for f in (density.score, density.log_density))
            for source, predict in self.score_sources(c).items():
                score = -predict(grid[None], signal, std)[0] / std
                distance = (score - exact).norm(dim=-1)
                mass = log_p.flatten().softmax(0).view_as(log_p)
                error = float((distance.square() * mass).sum().sqrt())
                shown = score.numpy(), distance.numpy(), log_p.exp().numpy()
                fields[name, source] = ScoreField(grid.numpy(), *shown, error)
        return figures.plot_scores(fields, f"{title}, scores at sigma {SCORE_SIGMA:g}")

    def clouds(self, title: str) -> Figure:
        """Draw what is drawn with each, and the training points of small classes."""
        clouds = {}
        sizes = class_counts(self.sweep.head, self.sweep.tails[0], len(self.classes))
        for c, (name, density) in enumerate(self.classes.items()):
            training = training_points(density, self.sweep.head, 0, c)[: sizes[c]]
            for source, predict in self.score_sources(c).items():
                x = self.metrics.generate(self.sweep.samplers[0], predict, c, 1)
                distance = float(frechet(x, *density.moments()))
                clouds[name, source] = PointCloud(x[0, 0].numpy(), training.numpy(), distance)
        return figures.plot_clouds(clouds, title)
