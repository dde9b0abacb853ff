"""Sweeps of the theory lab: their points, what is drawn when, and their rows."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch

from ltdm.data._mixtures import CASES, Case
from ltdm.diffusion import vp
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.registry import parse_part_list
from ltdm.theory import lab
from ltdm.theory.densities import Mixture
from ltdm.theory.features import RandomFeatures
from ltdm.theory.options import Sweep
from ltdm.theory.points import Points, counts, rng, training_points

SMALL = Sweep(
    head=20, tails=(3, 7), betas=(0.0, 0.5), seeds=3, steps=(10, 300), width=10, noise_draws=6,
    samples=30, kl_samples=12, ridge=1e-3,
    samplers=parse_part_list("sampler", [{"name": "heun", "steps": 4}], ()),
)  # fmt: skip
KEYS = ["metric", "seed", "tail", "beta", "steps", "group"]


@pytest.fixture(scope="module")
def found():
    return lab.run(SMALL)


def points(seed=0):
    net = RandomFeatures.drawn([rng("layer", seed)], 10, 2)
    densities = [Mixture(parts) for parts in CASES["overlapping"].values()]
    return Points(densities, vp.build(vp.Options()), net, seed)


def test_classes_lie_on_an_exponential():
    assert counts(1000, 50, 2) == [1000, 50]
    assert counts(5000, 50, 10) == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    for head in (49, 100, 5000):
        assert all(counts(head, tail, 3)[::2] == [head, tail] for tail in range(1, head + 1))


def test_costs_are_moments_of_the_noisy_points():
    mine = points()
    costs = mine.train(20, (3, 7), 6)
    process = vp.build(vp.Options())
    for c, n in ((0, 20), (1, 3)):
        x0 = training_points(mine.densities[c], 20, 0, c).repeat_interleave(6, dim=0)
        draw = rng("noise", 0, c)
        t = torch.randint(1000, (120,), generator=draw)
        eps = torch.randn(120, 2, generator=draw, dtype=torch.float64)
        signal, std = torch.tensor([process.scales(k) for k in t.tolist()]).double().T
        x = signal[:, None] * x0 + std[:, None] * eps
        phi = mine.net(x[None], signal[None], std[None])[0][: 6 * n]
        eps, t = eps[: 6 * n], t[: 6 * n]
        torch.testing.assert_close(costs.K[0, c], phi.T @ phi / len(phi))
        torch.testing.assert_close(costs.M[0, c], phi.T @ (t[:, None] / 1000 * phi) / len(phi))
        torch.testing.assert_close(costs.B[0, c], phi.T @ eps / len(phi))
        torch.testing.assert_close(costs.c[0, c], eps.square().sum() / len(phi))


def test_a_tail_is_the_same_whatever_else_is_in_the_sweep():
    several, one = points().train(20, (3, 7), 6), points().train(20, (7,), 6)
    for a, b in zip(several, one, strict=True):
        torch.testing.assert_close(a[1], b[0], rtol=1e-12, atol=1e-14)


def test_fresh_points_are_others_for_each_purpose():
    unseen, known = points().unseen("unseen"), points().unseen("known")
    assert not torch.equal(unseen.K, known.K)
    torch.testing.assert_close(unseen.K, known.K, atol=0.02, rtol=0)
    assert unseen.c.tolist() == pytest.approx([2, 2], abs=0.05)


def test_rows_are_complete(found):
    rows = found.rows
    assert not rows.duplicated(KEYS).any()
    games = 3 * 2 * 2
    for metric, groups, times in (
        ("nash-gap", 1, 11), ("own-gap", 1, 3), ("loss", 3, 3), ("generalisation-gap", 3, 3),
        ("kl", 3, 2), ("step", 1, 1),
    ):  # fmt: skip
        assert (rows["metric"] == metric).sum() == games * groups * times, metric
    assert (rows["metric"] == "frechet-heun").sum() == games * 3 * 2 + 3 * 3  # and of exact scores
    assert rows["value"].notna().all()
    assert (rows["error"].notna() == (rows["metric"] == "kl")).all()
    told = rows.loc[rows["metric"] == "nash-gap", "steps"].unique()
    assert sorted(told) == [1, 2, 4, 8, 10, 16, 32, 64, 128, 256, 300]
    assert found.A.shape == (2, 2, 2, 10, 2) and found.W.shape == (2, 10)


def test_worst_is_the_largest(found):
    wide = found.rows[found.rows["metric"].isin(["kl", "frechet-heun", "loss"])].pivot_table(
        index=[k for k in KEYS if k != "group"], columns="group", values="value", dropna=False
    )
    wide = wide.dropna()
    assert len(wide) and (wide["worst"] == wide[["head", "tail"]].max(axis=1)).all()


def test_the_game_is_solved(found):
    rows = found.rows
    end = rows[(rows["metric"] == "own-gap") & (rows["steps"] == math.inf)]
    assert end.loc[end["beta"] == 0, "value"].max() < 1e-20
    assert end.loc[end["beta"] > 0, "value"].min() > 0
    gaps = rows[rows["metric"] == "nash-gap"].pivot_table(
        index="steps", columns=["seed", "tail", "beta"], values="value"
    )
    assert (gaps.iloc[-1] < gaps.iloc[0]).all() and (gaps > 0).all().all()


def test_memory_decides_nothing(found, monkeypatch):
    monkeypatch.setattr(lab, "MEMORY", 1)
    again = lab.run(SMALL).rows
    both = found.rows.merge(again, on=KEYS, suffixes=("", "_again"))
    assert len(both) == len(again) == len(found.rows)
    same = (both["value"] - both["value_again"]).abs() <= 1e-7 * both["value"].abs() + 1e-12
    assert same.all()


def test_a_seed_is_itself_in_any_company(found):
    alone = lab.run(replace(SMALL, seeds=1, tails=(7,))).rows
    both = alone.merge(found.rows, on=KEYS, suffixes=("", "_again"))
    both = both[both["metric"].isin(["loss", "generalisation-gap", "own-gap"])]
    ends = both[both["steps"] == math.inf]
    assert len(ends) == 2 * (3 + 3 + 1)
    assert ends["value"].tolist() == pytest.approx(ends["value_again"].tolist(), abs=1e-9)


def test_the_same_sweep_gives_the_same_rows(found):
    pd.testing.assert_frame_equal(lab.run(SMALL).rows, found.rows)


def test_steps_are_each_game_s_own_or_one_for_a_seed(found):
    own = found.rows[found.rows["metric"] == "step"]
    bounds = found.rows[found.rows["metric"] == "step-bound"].set_index("beta")["value"]
    first = own[(own["seed"] == 0) & (own["tail"] == 3)].set_index("beta")["value"]
    assert (0.5 * bounds < first).all() and (first < bounds).all()
    assert own.groupby("seed")["value"].nunique().gt(1).all()
    one = lab.run(replace(SMALL, seeds=2, shared_step=True)).rows
    common = one[one["metric"] == "step"].groupby("seed")["value"]
    assert common.nunique().eq(1).all()
    assert common.first()[0] == pytest.approx(own[own["seed"] == 0]["value"].min())


def test_players_in_turn_end_where_players_at_once_do():
    long = replace(SMALL, seeds=1, tails=(7,), steps=(2**22,))
    orders = "simultaneous", "sequential"
    ends = [lab.run(replace(long, update_order=order)).A for order in orders]
    assert abs(ends[0] - ends[1]).max() < 1e-6 * abs(ends[0]).max()


def test_a_step_too_long_is_told():
    with pytest.raises(LtdmError, match=r"lower the sweep's step \(40\)"):
        lab.run(replace(SMALL, seeds=1, step=40.0))


def test_three_classes_and_three_dimensions():
    classes = Case(None, {
        name: (replace(CASES["overlapping"]["tail"][0], mean=(k, 0.0, 0.0), std=(1.0, 1.0, 1.0)),)
        for k, name in enumerate("abc")
    })  # fmt: skip
    rows = lab.run(replace(SMALL, classes=classes, seeds=1)).rows
    assert sorted(rows["group"].unique()) == ["a", "b", "c", "worst"]
    assert rows["value"].notna().all()
