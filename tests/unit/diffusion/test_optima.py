"""The optima of the objectives: closed forms for a denoiser that is a table of classes.

At one noise level that hides the image, with class means m_y, class frequencies pi and weight
r = tau s, the fixed points are (derived by setting the stop-gradient derivatives to zero)

    plain     D_y = m_y
    CBDM      D_y = [pi_y m_y + r pi_y Dbar + c r q_y Dtil] / [pi_y (1 + r) + c r q_y],
              Dbar = sum q_y' D_y', Dtil = sum pi_y' D_y'
    mutual    D_y = (m_y + k mbar) / (1 + k),  k = r C / (C - 1),  mbar the plain mean of m_y
"""

import pytest
import torch
from torch import nn

from ltdm.diffusion.edm import EDM
from ltdm.diffusion.edm import Options as EDMOptions
from ltdm.diffusion.vp import VP, Options
from ltdm.networks._per_class import PerClassNetworks
from tests.helpers.methods import Net, Table, batch, generators, loss, objective

COUNTS = [4, 3, 2, 1]
MEANS = torch.tensor([0.9, -0.4, 0.3, -1.2], dtype=torch.float64)
PI = torch.tensor(COUNTS, dtype=torch.float64) / 10
S = 0.6


class OneLevel(VP):
    """A process whose network predicts the clean image, at one level of noise progress 0.6."""

    def draw_levels(self, n, rng):
        return torch.zeros(n, dtype=torch.int64)

    def corrupt(self, x0, noise, level):
        return noise

    def target(self, x0, noise, level):
        return x0

    def noise_progress(self, level):
        return torch.full(level.shape, S, dtype=torch.float64)


class OneLearntLevel(EDM):
    """The same on EDM's process, with a learnt u."""

    draw_levels = OneLevel.draw_levels
    corrupt = OneLevel.corrupt
    target = OneLevel.target
    noise_progress = OneLevel.noise_progress

    def network_inputs(self, x, level):
        return x, level

    def logvar(self, level):
        return self.uncertainty(torch.zeros_like(level, dtype=torch.float64))


def images(labels):
    return MEANS[torch.as_tensor(labels)][:, None, None, None].expand(-1, 1, 2, 2)


def descend(method, net, labels, predict, learnt=False):
    """Follow the gradient to convergence, also that of u if it is learnt."""
    data, process = batch(labels, x0=images(labels)), OneLevel(Options())
    if learnt:
        process = OneLearntLevel(EDMOptions(logvar="linear")).double()
    for _ in range(1500 if learnt else 1000):
        net.zero_grad()
        process.zero_grad()
        terms = loss(method, predict, data, process, generators())
        sum(t.mean() for t in terms.values()).backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= (0.05 if learnt else 0.3) * p.grad
            for p in process.parameters():
                p -= 0.001 * p.grad
    if learnt:
        u = process.logvar(torch.zeros(1))[0]
        torch.testing.assert_close(terms["denoise"].mean().log(), u)


@pytest.mark.parametrize("target", ["train", "uniform"])
@pytest.mark.parametrize("c", [0.25, 0.0])
@pytest.mark.parametrize("learnt", [False, True])
def test_cbdm(target, c, learnt):
    """Every image is paired with every label in proportion to Q: the sum is the expectation."""
    method = objective(
        {"name": "cbdm", "tau": 2.0, "commitment_weight": c, "label_distribution": target},
        counts=COUNTS,
    )
    q = PI if target == "train" else torch.full((4,), 0.25, dtype=torch.float64)
    pairs = [
        (y, other)
        for y in range(4)
        for other in range(4)
        for _ in range(COUNTS[y] * round(20 * q[other].item()))
    ]
    labels, others = (torch.tensor(column) for column in zip(*pairs, strict=True))
    method.terms[0].draw_labels = lambda n, rng: others
    table = Table()
    descend(method, table, labels, Net(table), learnt)
    r, eye = 2.0 * S, torch.eye(4, dtype=torch.float64)
    matrix = (
        torch.diag(PI * (1 + r) + c * r * q)
        - r * PI[:, None] * q[None]
        - c * r * q[:, None] * PI[None]
    )
    expected = torch.linalg.solve(matrix @ eye, PI * MEANS)
    torch.testing.assert_close(table.rows[:4].detach(), expected, rtol=0, atol=1e-12)
    if target == "train" and c == 0.25:
        shrunk = (MEANS + 1.25 * r * (PI @ MEANS)) / (1 + 1.25 * r)
        torch.testing.assert_close(expected, shrunk)


def mutual_optimum(beta):
    k = beta * S * 4 / 3
    return (MEANS + k * MEANS.mean()) / (1 + k)


@pytest.mark.parametrize(
    ("beta", "learnt"), [(0.0, False), (0.1, False), (3.0, False), (3.0, True)]
)
def test_the_optimum_of_mutual_learning_is_independent_of_class_frequencies(beta, learnt):
    method = objective({"name": "igd", "mode": "shared", "beta": beta}, counts=COUNTS)
    labels, table = [y for y in range(4) for _ in range(COUNTS[y])], Table()
    descend(method, table, labels, Net(table), learnt)
    torch.testing.assert_close(table.rows[:4].detach(), mutual_optimum(beta), rtol=0, atol=1e-12)


class Number(nn.Module):
    """A network with one weight, which is its output."""

    def __init__(self):
        super().__init__()
        self.output = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x, level, labels, augment=None):
        return self.output.expand_as(x)


@pytest.mark.parametrize("beta", [0.0, 0.1, 3.0])
def test_the_game_of_separate_networks_has_the_same_optimum(beta):
    method = objective({"name": "igd", "beta": beta}, counts=COUNTS)
    labels, networks = (
        [y for y in range(4) for _ in range(2)],
        PerClassNetworks([Number() for _ in range(4)]),
    )
    descend(method, networks, labels, networks)
    optimum = networks.net.output.detach()
    torch.testing.assert_close(optimum, mutual_optimum(beta), rtol=0, atol=1e-12)
