"""Score fields and samples of a sweep's networks, as figures show them."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

from ltdm.diffusion import vp
from ltdm.plumbing.files import read_npz
from ltdm.plumbing.options import parse
from ltdm.reporting.style import short_title
from ltdm.theory import panels
from ltdm.theory.densities import Mixture
from ltdm.theory.features import RandomFeatures
from ltdm.theory.flow import NoisePredictor
from ltdm.theory.measures import ModelMetrics, frechet
from ltdm.theory.options import Sweep
from ltdm.theory.panels import PointCloud, ScoreField
from ltdm.theory.points import class_counts, training_points
from ltdm.theory.tables import argmin_index, last_step, log_mean

SCORE_SIGMA = 1.0  # noise level, noise over signal, of the score fields
GRID_POINTS = 61  # grid points of a score field along each axis
GRID_STDS = 2.5  # half the grid's extent, in standard deviations of the widest class


def draw(
    figure: str, name: str, spec: Mapping[str, Any], networks: Path, rows: pd.DataFrame
) -> tuple[pd.DataFrame, Figure]:
    """Draw the figure `scores` or `clouds` of a sweep; return its numbers and the drawing."""
    sweep = parse(Sweep, spec, ("theory", name))
    title = short_title(name, f"{sweep.tails[0]} points of the tail")
    data = FigureData(sweep, networks, rows)
    if figure == "clouds":
        clouds = data.clouds()
        return panels.clouds_frame(clouds), panels.plot_clouds(clouds, title)
    fields = data.score_fields()
    picture = panels.plot_scores(fields, f"{title}, scores at sigma {SCORE_SIGMA:g}")
    return panels.scores_frame(fields), picture


def _best_beta(rows: pd.DataFrame, sweep: Sweep) -> float:
    """Return the beta with the lowest KL of the worst class, for the first tail."""
    last = (rows["steps"] == last_step(rows)) & (rows["tail"] == sweep.tails[0])
    kl_rows = rows[last & (rows["metric"] == "kl") & (rows["group"] == "worst")]
    best = argmin_index(log_mean(kl_rows.pivot(index="beta", columns="seed", values="value")))
    # Rows hold beta with ten digits only.
    return min(sweep.betas, key=lambda beta: abs(beta - best))


class FigureData:
    """Score fields and samples of a sweep's first seed and tail."""

    def __init__(self, sweep: Sweep, networks: Path, rows: pd.DataFrame):
        W, U, A = (torch.from_numpy(part) for part in read_npz(networks, "W", "U", "A"))
        self.sweep, self.process = sweep, vp.build(vp.Options())
        self.net = RandomFeatures(W[None], U[None])
        self.classes = {n: Mixture(parts) for n, parts in sweep.classes.classes.items()}
        self.metrics = ModelMetrics(sweep, list(self.classes.values()), self.process, self.net, [0])
        betas = sorted({sweep.betas[0], _best_beta(rows, sweep)})
        self.models = {f"beta {b:g}": A[0, sweep.betas.index(b)] for b in betas}

    def score_sources(self, c: int) -> dict[str, NoisePredictor]:
        """Return the noise predictors of class c by name: `exact`, and `beta <beta>`."""
        net = self.net.predict
        learned = {name: partial(net, A[c][None, None]) for name, A in self.models.items()}
        return {"exact": self.metrics.exact_predictor(c), **learned}

    def score_fields(self) -> dict[tuple[str, str], ScoreField]:
        """Return the score field of every class and source at the noise level SCORE_SIGMA."""
        signal, std = self.process.signal_and_std(self.process.nearest_level(SCORE_SIGMA))
        variances = [density.moments()[1].diagonal().max() for density in self.classes.values()]
        widest = float(max(variances)) ** 0.5
        line = torch.linspace(-1, 1, GRID_POINTS, dtype=torch.float64) * GRID_STDS * widest
        grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
        fields = {}
        for c, (name, density) in enumerate(self.classes.items()):
            exact, log_p = (f(grid, signal, std) for f in (density.score, density.log_density))
            for source, predict in self.score_sources(c).items():
                score = -predict(grid[None], signal, std)[0] / std
                distance = (score - exact).norm(dim=-1)
                mass = log_p.flatten().softmax(0).view_as(log_p)
                error = float((distance.square() * mass).sum().sqrt())
                x, density_x = grid.numpy(), log_p.exp().numpy()
                fields[name, source] = ScoreField(
                    x, score.numpy(), distance.numpy(), density_x, error
                )
        return fields

    def clouds(self) -> dict[tuple[str, str], PointCloud]:
        """Return samples of every class and source, by the first sampler, and training points."""
        clouds = {}
        sizes = class_counts(self.sweep.head, self.sweep.tails[0], len(self.classes))
        for c, (name, density) in enumerate(self.classes.items()):
            training = training_points(density, self.sweep.head, 0, c)[: sizes[c]]
            for source, predict in self.score_sources(c).items():
                x = self.metrics.generate(self.sweep.samplers[0], predict, c, 1)
                distance = float(frechet(x, *density.moments()))
                clouds[name, source] = PointCloud(x[0, 0].numpy(), training.numpy(), distance)
        return clouds
