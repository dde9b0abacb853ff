"""Made-up rows in the form that a sweep of the theory lab returns."""

import math
from itertools import product

import pandas as pd

GROUPS = ("head", "tail", "worst")
BETAS = (0.0, 0.01, 0.1, 1.0)
ENDS = (64.0, 1024.0)
"""Training steps at which samples are drawn."""
POWERS = tuple(2.0**k for k in range(11))


def metric_rows(metric, value_of, groups=("worst",), seeds=2, tails=(50,), betas=BETAS, steps=ENDS):
    """Return a metric's rows; `value_of` maps group, seed, tail, beta and step to a value."""
    return pd.DataFrame(
        [
            {
                "seed": seed,
                "tail": float(tail),
                "beta": beta,
                "metric": metric,
                "group": group,
                "steps": float(step),
                "value": value_of(group, seed, tail, beta, step),
                "error": 0.1,
            }
            for group, seed, tail, beta, step in product(groups, range(seeds), tails, betas, steps)
        ]
    )


def sweep(**axes):
    """Return rows of every metric that a sweep measures."""
    end = max(axes.get("steps", ENDS))
    ends = {**axes, "steps": (math.inf, end)}
    powers = {**axes, "steps": tuple(step for step in POWERS if step <= end)}
    exact = {**axes, "tails": (math.nan,), "betas": (math.nan,), "steps": (end,)}
    floors = {"head": 1.25, "tail": 0.5, "worst": 1.25}

    def wave(group, seed, tail, beta, step):
        return GROUPS.index(group) + 1 + abs(beta - 0.1) + 0.1 * seed + 1 / tail

    rows = [
        metric_rows("own-gap", lambda g, s, t, b, u: b * (1 + s), **ends),
        metric_rows("nash-gap", lambda g, s, t, b, u: (1 + s) * max(u, 16) ** -0.5, **powers),
        metric_rows("generalisation-gap", lambda g, s, t, b, u: (2 + s) / t, GROUPS[:2], **axes),
        metric_rows("frechet-heun", wave, GROUPS, **axes),
        metric_rows("kl", wave, GROUPS, **axes),
        metric_rows("frechet-heun", lambda g, *_: floors[g], GROUPS, **exact),
    ]
    return pd.concat(rows, ignore_index=True)
