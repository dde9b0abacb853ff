"""The game of mutual learning on random features: quadratic, so it can be solved exactly.

Each of C classes is a player. Player y has weights A_y and the cost, over its class's noisy points,

    J_y(A) = mean |F_y - eps|^2 + beta mean s(t) mean_{y' != y} |F_y - F_y'|^2 + ridge |A_y|^2
           = <A_y, (K_y + ridge) A_y> - 2 <A_y, B_y> + c_y
             + beta mean_{y' != y} <A_y - A_y', M_y (A_y - A_y')>,

with K_y = mean phi phi^T, M_y = mean s(t) phi phi^T, B_y = mean phi eps^T, c_y = mean |eps|^2. The
best response and the Nash equilibrium are linear solves: with H_y = K_y + ridge + beta M_y,

    H_y A_y - beta M_y mean_{y' != y} A_y' = B_y,   for all y at once: G A = B.

Individual gradient descent (IGD), A <- A - 2 eta (G A - B), is affine, whether players move
simultaneously or in turn: each step multiplies the error e = A - A* by the same matrix P. Thus 2^k
steps take k squarings of P, and equal the steps made one by one up to rounding.
Source: Das et al., "Principled Long-Tailed Generative Modeling via Diffusion Models", NeurIPS 2025.
The ridge is ours: without it, features that are zero at all points leave A* undetermined.

Every method works on a batch of games (...) with C players, m features and d dimensions each.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ltdm.plumbing.errors import LtdmError

MAX_CONDITION = 1e12  # of G; above it, float64 leaves the equilibrium too few digits
MAX_GRADIENT = 1e-8  # largest entry of the gradient at an accepted equilibrium


class Costs(NamedTuple):
    """The moments K, M, B and c of each player's points, which determine its cost."""

    K: Tensor  # (..., C, m, m)
    M: Tensor  # (..., C, m, m)
    B: Tensor  # (..., C, m, d)
    c: Tensor  # (..., C)

    @classmethod
    def stack(cls, costs: Iterable["Costs"], dim: int = 0) -> "Costs":
        """Stack each moment along a new dimension `dim`."""
        return cls(*(torch.stack(part, dim) for part in zip(*costs, strict=True)))

    def loss(self, A: Tensor) -> Tensor:
        """Return each player's denoising loss without the ridge, (..., C), for A (..., C, m, d)."""
        return _inner(A, self.K @ A) - 2 * _inner(A, self.B) + self.c

    def minimiser(self, ridge: float) -> Tensor:
        """Return the weights (..., C, m, d) that minimise each player's own cost (beta = 0)."""
        return _solve(self.K + ridge * _eye(self.K), self.B)

    def excess_cost(self, A: Tensor, ridge: float) -> Tensor:
        """Return how far each player's own cost (beta = 0) at A is above its minimum, (..., C)."""
        K = self.K + ridge * _eye(self.K)
        return _excess_over_minimum(K, K @ A - self.B)


class Game:
    """Games between two or more players with given costs.

    `beta` (...) is the weight of the mutual term and broadcasts against the costs' batch; `ridge`
    is the weight of |A|^2.
    """

    def __init__(self, costs: Costs, beta: Tensor, ridge: float):
        self.num_players = costs.K.shape[-3]
        mutual = beta[..., None, None, None] * costs.M
        self.H = costs.K + ridge * _eye(costs.K) + mutual
        self.mutual, self.B = mutual, costs.B.expand(*mutual.shape[:-1], -1)
        same = torch.eye(self.num_players, dtype=mutual.dtype)[:, None, :, None]
        coupling = -mutual[..., :, :, None, :] * ((1 - same) / (self.num_players - 1))
        self.G = (coupling + self.H[..., :, :, None, :] * same).flatten(-4, -3).flatten(-2)

    def equilibrium(self) -> Tensor:
        """Return the Nash equilibrium A*, (..., C, m, d).

        Raises:
            LtdmError: G is too badly conditioned for float64.
        """
        condition = float(np.linalg.cond(self.G.numpy(), 1).max())
        if not condition < MAX_CONDITION:
            raise LtdmError(
                f"the equilibrium's equations have condition number {condition:.1e}, too large for"
                " float64; raise the sweep's ridge or lower its width"
            )
        nash = self._split_players(_solve(self.G, self._stack_players(self.B)))
        largest = float(self.gradient(nash).abs().max())
        if not largest <= MAX_GRADIENT:
            raise LtdmError(
                f"the gradient at the equilibrium is {largest:.1e}, above {MAX_GRADIENT:.0e}, since"
                " its equations are badly conditioned; raise the sweep's ridge"
            )
        return nash

    def gradient(self, A: Tensor) -> Tensor:
        """Return each player's gradient with respect to its own weights, 2 (G A - B)."""
        return 2 * (self.apply_G(A) - self.B)

    def apply_G(self, A: Tensor) -> Tensor:
        """Return G A, (..., C, m, d)."""
        return self._split_players(self.G @ self._stack_players(A))

    def gap(self, residual: Tensor) -> Tensor:
        """Return how much each player's best response lowers its cost, (..., C).

        The Nash gap is the maximum over players. `residual` is G (A - A*): computed from the error,
        even a tiny gap keeps all its digits.
        """
        return _excess_over_minimum(self.H, residual)

    def step_bound(self, index: tuple[int, ...] = ()) -> Tensor:
        """Return the step size (...) below which simultaneous IGD converges and above which not.

        It is min Re(mu) / |mu|^2 over the eigenvalues mu of G, and not positive if IGD converges at
        no step size. Eigenvalues are slow, so `index` selects games by their first batch indices.
        """
        mu = torch.linalg.eigvals(self.G[index])
        return (mu.real / mu.abs().square()).min(-1).values

    def safe_step(self) -> Tensor:
        """Return 1 / max_y (|H_y| + |beta M_y|), (...): a cheap lower bound of `step_bound`.

        No eigenvalue of G exceeds that maximum; the bound holds if they are real and positive.
        """
        norms = (torch.linalg.eigvalsh(part)[..., -1] for part in (self.H, self.mutual))
        return 1 / sum(norms).max(-1).values

    def step_map(self, step: Tensor, sequential: bool) -> Tensor:
        """Return P (..., C m, C m) of one step: players move simultaneously, or in turn."""
        eta = 2 * step[..., None, None]
        P = torch.eye(self.G.shape[-1], dtype=self.G.dtype).expand_as(self.G)
        if not sequential:
            return P - eta * self.G
        P, m = P.clone(), self.H.shape[-1]
        for start in range(0, self.G.shape[-1], m):
            rows = slice(start, start + m)
            P[..., rows, :] -= eta * (self.G[..., rows, :] @ P)
        return P

    def errors(
        self, start: Tensor, P: Tensor, steps: tuple[int, ...]
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield (n, A - A*) for n = 1, 2, 4, ... and each n of `steps`, up to the largest of these.

        `start` is A - A* before the first step, `P` the matrix from `step_map`.
        """
        first, last = self._stack_players(start), max(steps)
        errors_at = dict.fromkeys(steps, first)
        for k in range(last.bit_length()):
            P = P @ P if k else P
            errors_at = {n: P @ e if n >> k & 1 else e for n, e in errors_at.items()}
            if 2**k not in steps:
                yield 2**k, self._split_players(P @ first)
            for n in steps:
                if n.bit_length() == k + 1:
                    yield n, self._split_players(errors_at[n])

    def _stack_players(self, A: Tensor) -> Tensor:
        """Stack the players' weights (..., C, m, d) to (..., C m, d)."""
        return A.flatten(-3, -2)

    def _split_players(self, A: Tensor) -> Tensor:
        return A.unflatten(-2, (self.num_players, -1))


def _eye(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-1], dtype=like.dtype)


def _inner(A: Tensor, B: Tensor) -> Tensor:
    return (A * B).sum((-2, -1))


def _solve(A: Tensor, B: Tensor) -> Tensor:
    """Return A^-1 B, computed by NumPy.

    PyTorch 2.15 with oneMKL returns wrong solutions for batches of 200 or more equations once its
    number of threads has been set; its Cholesky factors and eigenvalues are correct.
    """
    return torch.from_numpy(np.linalg.solve(A.numpy(), B.numpy()))


def _excess_over_minimum(H: Tensor, residual: Tensor) -> Tensor:
    """Return <r, H^-1 r>, the excess over its minimum of a quadratic: Hessian 2 H, gradient 2 r."""
    half = torch.linalg.solve_triangular(torch.linalg.cholesky(H), residual, upper=False)
    return half.square().sum((-2, -1))
