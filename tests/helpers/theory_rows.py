"""Rows as a sweep of the theory lab gives them, made up."""

import math
from itertools import product

import pandas as pd

GROUPS = ("head", "tail", "worst")
BETAS = (0.0, 0.01, 0.1, 1.0)
ENDS = (64.0, 1024.0)
POWERS = tuple(2.0**k for k in range(11))


def made(metric, of, groups=("worst",), seeds=2, tails=(50,), betas=BETAS, steps=ENDS):
    """Rows of a metric: `of` gives the value of a group, seed, tail, beta and step."""
    return pd.DataFrame([
        {"seed": seed, "tail": float(tail), "beta": beta, "metric": metric, "group": group,
         "steps": float(u), "value": of(group, seed, tail, beta, u), "error": 0.1}
        for group, seed, tail, beta, u in product(groups, range(seeds), tails, betas, steps)
    ])  # fmt: skip


def sweep(**axes):
    """Rows of everything that a sweep measures."""
    end = max(axes.get("steps", ENDS))
    before = tuple(u for u in POWERS if u <= end)

    def wave(group, seed, tail, beta, u):
        return GROUPS.index(group) + 1 + abs(beta - 0.1) + 0.1 * seed + 1 / tail

    return pd.concat([
        made("own-gap", lambda g, s, t, b, u: b * (1 + s), **{**axes, "steps": (math.inf, end)}),
        made("nash-gap", lambda g, s, t, b, u: (1 + s) * max(u, 16) ** -0.5,
             **{**axes, "steps": before}),
        made("generalisation-gap", lambda g, s, t, b, u: (2 + s) / t, ("head", "tail"), **axes),
        *(made(metric, wave, GROUPS, **axes) for metric in ("frechet-heun", "kl")),
        made("frechet-heun", lambda g, *_: {"head": 1.25, "tail": 0.5, "worst": 1.25}[g], GROUPS,
             **{**axes, "tails": (math.nan,), "betas": (math.nan,), "steps": (end,)}),
    ], ignore_index=True)  # fmt: skip
