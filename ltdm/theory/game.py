"""The game of mutual learning on random features: quadratic, so that all of it can be solved.

Player y of C has weights A_y and the cost, over the noisy points of its class,

    J_y(A) = mean |F_y - eps|^2 + beta mean s(t) mean_{y' != y} |F_y - F_y'|^2 + ridge |A_y|^2
           = <A_y, (K_y + ridge) A_y> - 2 <A_y, B_y> + c_y
             + beta mean_{y' != y} <A_y - A_y', M_y (A_y - A_y')>,

with K_y = mean phi phi^T, M_y = mean s(t) phi phi^T, B_y = mean phi eps^T, c_y = mean |eps|^2. Its
best response and the equilibrium are linear solves: with H_y = K_y + ridge + beta M_y,

    H_y A_y - beta M_y mean_{y' != y} A_y' = B_y,   for all y at once: G A = B.

Individual gradient descent (IGD), A <- A - 2 eta (G A - B), is affine, and so it stays if players
move in turn: its error e = A - A* is multiplied by one matrix P an update. 2^k steps are k
squarings of P, exactly the steps one by one, up to rounding.
Source: Das et al., "Principled Long-Tailed Generative Modeling via Diffusion Models", NeurIPS 2025;
the ridge is ours: without it features that no point reaches leave the equilibrium undetermined.

Every method takes any batch of games (...), C players each, m features, d dimensions.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ltdm.plumbing.errors import LtdmError

MAX_CONDITION = 1e12  # beyond which an equilibrium in float64 has too few digits left
MAX_GRADIENT = 1e-8  # the largest entry of a gradient that an equilibrium may have


class Costs(NamedTuple):
    """What a class's points say of its cost: the moments K, M, B and c of the module."""

    K: Tensor  # (..., C, m, m)
    M: Tensor  # (..., C, m, m)
    B: Tensor  # (..., C, m, d)
    c: Tensor  # (..., C)

    @classmethod
    def stack(cls, costs: Iterable["Costs"], dim: int = 0) -> "Costs":
        """Stack each moment along a new dimension."""
        return cls(*(torch.stack(part, dim) for part in zip(*costs, strict=True)))

    def loss(self, A: Tensor) -> Tensor:
        """Return each player's denoising loss without the ridge, (..., C), of A (..., C, m, d)."""
        return _inner(A, self.K @ A) - 2 * _inner(A, self.B) + self.c

    def minimiser(self, ridge: float) -> Tensor:
        """Return the weights (..., C, m, d) of each player's lowest own cost."""
        return _solve(self.K + ridge * _eye(self.K), self.B)

    def excess_cost(self, A: Tensor, ridge: float) -> Tensor:
        """Return by how much each player's own cost, peers left aside, is above its lowest."""
        K = self.K + ridge * _eye(self.K)
        return _excess_over_minimum(K, K @ A - self.B)


class Game:
    """Games with these costs, of two players or more.

    `beta` (...), the weight of mutual learning, broadcasts with the batch of the costs; `ridge` is
    the weight of the squared norm of A.
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
            LtdmError: It is too badly conditioned.
        """
        condition = float(np.linalg.cond(self.G.numpy(), 1).max())
        if not condition < MAX_CONDITION:
            raise LtdmError(
                f"the equilibrium's equations have condition {condition:.1e}, too much for float64;"
                " raise the sweep's ridge or lower its width"
            )
        nash = self._split_players(_solve(self.G, self._stack_players(self.B)))
        largest = float(self.gradient(nash).abs().max())
        if not largest <= MAX_GRADIENT:
            raise LtdmError(
                f"a gradient at the equilibrium is {largest:.1e}, above {MAX_GRADIENT:.0e}: its"
                " equations are badly conditioned; raise the sweep's ridge"
            )
        return nash

    def gradient(self, A: Tensor) -> Tensor:
        """Return each player's gradient by its own weights, peers held fixed: 2 (G A - B)."""
        return 2 * (self.apply_G(A) - self.B)

    def apply_G(self, A: Tensor) -> Tensor:
        """Return G A, (..., C, m, d)."""
        return self._split_players(self.G @ self._stack_players(A))

    def gap(self, residual: Tensor) -> Tensor:
        """Return what each player would gain by its best response, (..., C), of G (A - A*).

        The Nash gap is its maximum over players. Taken from the error A - A*, it has all its digits
        also where it is tiny.
        """
        return _excess_over_minimum(self.H, residual)

    def step_bound(self, index: tuple[int, ...] = ()) -> Tensor:
        """Return the step (...) below which simultaneous IGD converges, and above which it cannot.

        It is min Re(mu) / |mu|^2 over the eigenvalues mu of G; not positive where IGD never does.
        Eigenvalues take long: `index` are the first indices of the games asked for.
        """
        mu = torch.linalg.eigvals(self.G[index])
        return (mu.real / mu.abs().square()).min(-1).values

    def safe_step(self) -> Tensor:
        """Return 1 / max_y (|H_y| + |beta M_y|), (...), cheap to have.

        No eigenvalue of G is larger than that maximum, so this is at most `step_bound` where they
        are real and positive.
        """
        norms = (torch.linalg.eigvalsh(part)[..., -1] for part in (self.H, self.mutual))
        return 1 / sum(norms).max(-1).values

    def step_map(self, step: Tensor, sequential: bool) -> Tensor:
        """Return P, (..., C m, C m), of an update of all players at once or one after the other."""
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
        """Give A - A* after 1, 2, 4, ... steps and after those of `steps`, from A - A* = start.

        P is what `step_map` gives; the largest number of steps ends it.
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
        """Put the players' weights (..., C, m, d) below each other, (..., C m, d)."""
        return A.flatten(-3, -2)

    def _split_players(self, A: Tensor) -> Tensor:
        return A.unflatten(-2, (self.num_players, -1))


def _eye(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-1], dtype=like.dtype)


def _inner(A: Tensor, B: Tensor) -> Tensor:
    return (A * B).sum((-2, -1))


def _solve(A: Tensor, B: Tensor) -> Tensor:
    """Return A^-1 B, by NumPy.

    PyTorch 2.15 with oneMKL solves batches of 200 equations and more wrongly once its number of
    threads has been set; its Cholesky factors and eigenvalues are right.
    """
    return torch.from_numpy(np.linalg.solve(A.numpy(), B.numpy()))


def _excess_over_minimum(H: Tensor, residual: Tensor) -> Tensor:
    """Return <r, H^-1 r>: how far a quadratic with Hessian 2 H is above its minimum."""
    half = torch.linalg.solve_triangular(torch.linalg.cholesky(H), residual, upper=False)
    return half.square().sum((-2, -1))
