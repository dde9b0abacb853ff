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
from ltdm.theory.figures import Cloud, Field
from ltdm.theory.flow import Predict
from ltdm.theory.measures import Judge, frechet
from ltdm.theory.options import Sweep
from ltdm.theory.points import counts, training_points
from ltdm.theory.tables import end, least, middle

CURVES = {
    "v-curve": figures.v_curve,
    "nash-gap": figures.nash_gap,
    "generalisation": figures.generalisation,
}
SIGMA = 1.0  # noise over signal at which scores are shown
GRID = 61  # points along an axis where they are reckoned
REACH = 2.5  # standard deviations of the widest class that are shown


def run(request: Request, *, rows: Path, networks: Path, png: Path, svg: Path) -> None:
    """Write a figure of a sweep, from what the stage `theory` measured and kept.

    Scores and clouds are of the first seed and tail: the exact ones, and the networks' without
    mutual learning and with the weight that is best for the worst class. `request` has `spec`, the
    sweep's options, those at their defaults left out; `sweep`, its name; and `figure`, one of
    `ltdm.theory.options.FIGURES`.
    """
    style.use()
    measured, name, figure = read_rows(rows), request["sweep"], request["figure"]
    sweep = parse(Sweep, request["spec"], ("theory", name))
    title = f"{name}: {sweep.tails[0]} points of the tail"
    for path in (png, svg):
        if figure in CURVES:
            made = CURVES[figure](measured, name)
        else:
            gallery = Gallery(sweep, networks, measured)
            made = gallery.scores(title) if figure == "scores" else gallery.clouds(title)
        style.save(made, path)


def _best(rows: pd.DataFrame, sweep: Sweep) -> float:
    """Return the weight whose networks of the first tail are best for the worst class, by KL."""
    last = (rows["steps"] == end(rows)) & (rows["tail"] == sweep.tails[0])
    mine = rows[last & (rows["metric"] == "kl") & (rows["group"] == "worst")]
    best = least(middle(mine.pivot(index="beta", columns="seed", values="value")))
    # Rows hold ten digits of it.
    return min(sweep.betas, key=lambda beta: abs(beta - best))


class Gallery:
    """What a sweep's first networks say and draw."""

    def __init__(self, sweep: Sweep, networks: Path, rows: pd.DataFrame):
        W, U, A = (torch.from_numpy(part) for part in read_npz(networks, "W", "U", "A"))
        self.sweep, self.process = sweep, vp.build(vp.Options())
        self.net = RandomFeatures(W[None], U[None])
        self.classes = {n: Mixture(parts) for n, parts in sweep.classes.classes.items()}
        self.judge = Judge(sweep, list(self.classes.values()), self.process, self.net, [0])
        chosen = sorted({sweep.betas[0], _best(rows, sweep)})
        self.models = {f"beta {b:g}": A[0, sweep.betas.index(b)] for b in chosen}

    def authors(self, c: int) -> dict[str, Predict]:
        """Return what says the noise for class c, by name."""
        net = self.net.predict
        found = {name: partial(net, A[c][None, None]) for name, A in self.models.items()}
        return {"exact": self.judge.exact_noise(c), **found}

    def scores(self, title: str) -> Figure:
        """Draw score fields at one noise level."""
        signal, std = self.process.signal_and_std(self.process.nearest_level(SIGMA))
        widest = max(float(one.moments()[1].diagonal().max()) for one in self.classes.values())
        line = torch.linspace(-1, 1, GRID, dtype=torch.float64) * REACH * widest**0.5
        grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
        fields = {}
        for c, (name, density) in enumerate(self.classes.items()):
            exact, log_p = (f(grid, signal, std) for f in (density.score, density.log_density))
            for who, predict in self.authors(c).items():
                score = -predict(grid[None], signal, std)[0] / std
                apart = (score - exact).norm(dim=-1)
                mass = log_p.flatten().softmax(0).view_as(log_p)
                off = float((apart.square() * mass).sum().sqrt())
                shown = score.numpy(), apart.numpy(), log_p.exp().numpy()
                fields[name, who] = Field(grid.numpy(), *shown, off)
        return figures.scores(fields, f"{title}, scores at sigma {SIGMA:g}")

    def clouds(self, title: str) -> Figure:
        """Draw what is drawn with each, and the training points of small classes."""
        clouds = {}
        numbers = counts(self.sweep.head, self.sweep.tails[0], len(self.classes))
        for c, (name, density) in enumerate(self.classes.items()):
            seen = training_points(density, self.sweep.head, 0, c)[: numbers[c]]
            for who, predict in self.authors(c).items():
                x = self.judge.drawn(self.sweep.samplers[0], predict, c, 1)
                distance = float(frechet(x, *density.moments()))
                clouds[name, who] = Cloud(x[0, 0].numpy(), seen.numpy(), distance)
        return figures.clouds(clouds, title)
