"""Figures of the theory lab: single networks' scores and samples, a panel per class and source."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from ltdm.reporting.escapes import escape_label
from ltdm.reporting.style import COLOURS, TWO_COLUMNS

T = TypeVar("T")
ARROWS = np.s_[2::4, 2::4]  # grid points with an arrow
MAX_TRAINING = 200  # training points of a class in a cloud
ERROR_COLOURS = LinearSegmentedColormap.from_list("error", ["#222222", COLOURS[1]])


class ScoreField(NamedTuple):
    """A score field on a grid of n x n points, and the density of the class."""

    x: np.ndarray  # grid points, (n, n, 2)
    score: np.ndarray  # (n, n, 2)
    distance: np.ndarray  # norm of the difference from the exact score, (n, n)
    density: np.ndarray  # exact density of the class, (n, n)
    error: float  # root mean square of `distance` under the density


def scores_frame(fields: Mapping[tuple[str, str], ScoreField]) -> pd.DataFrame:
    """Return the arrows of score fields by `class` and `source`, with ScoreField's numbers."""
    parts = []
    for (c, source), field in fields.items():
        arrays = (field.x[..., 0], field.x[..., 1], field.score[..., 0], field.score[..., 1])
        names = ("x", "y", "score_x", "score_y", "distance", "density")
        points = zip(names, (*arrays, field.distance, field.density), strict=True)
        part = pd.DataFrame({name: values[ARROWS].ravel() for name, values in points})
        part["class"], part["source"], part["error"] = c, source, field.error
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def plot_scores(fields: Mapping[tuple[str, str], ScoreField], title: str) -> Figure:
    """Plot score fields as arrows, redder where the error is larger, over the exact density.

    `fields` by (class, score source); classes are rows of panels, score sources columns.
    """
    max_error = max(float(np.quantile(field.distance, 0.9)) for field in fields.values())

    def draw(axes: Axes, field: ScoreField) -> None:
        x, y = field.x[..., 0], field.x[..., 1]
        axes.contourf(x, y, field.density, levels=8, cmap="Blues", alpha=0.7)
        u, v = field.score[..., 0], field.score[..., 1]
        arrows = [values[ARROWS] for values in (x, y, u, v, field.distance)]
        axes.quiver(*arrows, cmap=ERROR_COLOURS, clim=(0, max_error), width=0.006)
        axes.set_xlabel(f"error {field.error:.2f}")

    return _panel_grid(fields, title, draw)


class PointCloud(NamedTuple):
    """Samples of a class, by a network or the exact scores."""

    points: np.ndarray  # samples, (n, 2)
    training: np.ndarray  # the class's training points, (k, 2)
    distance: float  # squared Frechet distance of the samples from the class

    @property
    def shown_training(self) -> np.ndarray:
        """The training points if there are at most MAX_TRAINING, else none."""
        return self.training if len(self.training) <= MAX_TRAINING else self.training[:0]


def clouds_frame(clouds: Mapping[tuple[str, str], PointCloud]) -> pd.DataFrame:
    """Return the points of clouds by `class`, `source` and `kind`: `sample` or `training`."""
    parts = []
    for (c, source), cloud in clouds.items():
        for kind, points in (("sample", cloud.points), ("training", cloud.shown_training)):
            part = pd.DataFrame(points, columns=["x", "y"])
            part["class"], part["source"], part["kind"] = c, source, kind
            parts.append(part.assign(distance=cloud.distance))
    return pd.concat(parts, ignore_index=True)


def plot_clouds(clouds: Mapping[tuple[str, str], PointCloud], title: str) -> Figure:
    """Plot samples, and the training points of classes with at most MAX_TRAINING.

    `clouds` by (class, score source), the exact scores first: they set the limits of all axes.
    """
    exact = next(iter(clouds))[1]
    limit = max(float(np.abs(c.points).max()) for (_, s), c in clouds.items() if s == exact)

    def draw(axes: Axes, cloud: PointCloud) -> None:
        axes.scatter(cloud.points[:, 0], cloud.points[:, 1], s=2, linewidths=0, alpha=0.5)
        if len(cloud.shown_training):
            x, y = cloud.shown_training.T
            axes.scatter(x, y, s=5, marker="x", color=COLOURS[1], linewidths=0.5)
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit))
        axes.set_xlabel(f"Frechet distance {cloud.distance:.2f}")

    return _panel_grid(clouds, title, draw)


def _panel_grid(
    contents: Mapping[tuple[str, str], T], title: str, draw: Callable[[Axes, T], None]
) -> Figure:
    """Draw a panel for each class (row) and score source (column)."""
    rows, columns = (list(dict.fromkeys(key[k] for key in contents)) for k in (0, 1))
    side = min(1.7, (TWO_COLUMNS - 0.3) / len(columns))
    size = (side * len(columns) + 0.3, (side + 0.25) * len(rows) + 0.3)
    figure, panels = plt.subplots(len(rows), len(columns), figsize=size, squeeze=False)
    for axes, key in zip(panels.flat, product(rows, columns), strict=True):
        draw(axes, contents[key])
        axes.set(aspect="equal", xticks=[], yticks=[])
        axes.grid(visible=False)
    for axes, row in zip(panels[:, 0], rows, strict=True):
        axes.set_ylabel(escape_label(row))
    for axes, column in zip(panels[0], columns, strict=True):
        axes.set_title(column)
    figure.suptitle(title)
    return figure
