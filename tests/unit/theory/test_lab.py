"""Sweeps of the theory lab: their points, their random draws, and their rows."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch

from ltdm.data._mixtures import PRESETS, MixtureSet
from ltdm.diffusion import vp
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.registry import parse_part_list
from ltdm.theory import lab
from ltdm.theory.densities import Mixture
from ltdm.theory.features import RandomFeatures
from ltdm.theory.options import Sweep
from ltdm.theory.points import Points, class_counts, rng, training_points

SMALL = Sweep(
    head=20,
    tails=(3, 7),
    betas=(0.0, 0.5),
    seeds=3,
    steps=(10, 300),
    width=10,
    noise_draws=6,
    samples=30,
    kl_samples=12,
    ridge=1e-3,
    samplers=parse_part_list("sampler", [{"name": "heun", "steps": 4}], ()),
)
KEYS = ["metric", "seed", "tail", "beta", "steps", "group"]


@pytest.fixture(scope="module")
def result():
    return lab.run(SMALL)


def points(seed=0):
    net = RandomFeatures.sample([rng("layer", seed)], 10, 2)
    densities = [Mixture(parts) for parts in PRESETS["overlapping"].values()]
    return Points(densities, vp.build(vp.Options()), net, seed)


def test_class_counts_follow_an_exponential():
    assert class_counts(1000, 50, 2) == [1000, 50]
    assert class_counts(5000, 50, 10) == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    for head in (49, 100, 5000):
        assert all(class_counts(head, tail, 3)[::2] == [head, tail] for tail in range(1, head + 1))


def test_costs_are_moments_of_the_noisy_points():
    seed_points = points()
    costs = seed_points.training_costs(20, (3, 7), 6)
    process = vp.build(vp.Options())
    for c, n in ((0, 20), (1, 3)):
        x0 = training_points(seed_points.densities[c], 20, 0, c).repeat_interleave(6, dim=0)
        generator = rng("noise", 0, c)
        t = torch.randint(1000, (120,), generator=generator)
        eps = torch.randn(120, 2, generator=generator, dtype=torch.float64)
        signal, std = torch.tensor([process.signal_and_std(k) for k in t.tolist()]).double().T
        x = signal[:, None] * x0 + std[:, None] * eps
        phi = seed_points.net(x[None], signal[None], std[None])[0][: 6 * n]
        eps, t = eps[: 6 * n], t[: 6 * n]
        torch.testing.assert_close(costs.K[0, c], phi.T @ phi / len(phi))
        torch.testing.assert_close(costs.M[0, c], phi.T @ (t[:, None] / 1000 * phi) / len(phi))
        torch.testing.assert_close(costs.B[0, c], phi.T @ eps / len(phi))
        torch.testing.assert_close(costs.c[0, c], eps.square().sum() / len(phi))


def test_a_tail_does_not_depend_on_the_other_tails_of_the_sweep():
    both, last = (points().training_costs(20, tails, 6) for tails in ((3, 7), (7,)))
    for a, b in zip(both, last, strict=True):
        torch.testing.assert_close(a[1], b[0], rtol=1e-12, atol=1e-14)


def test_fresh_points_differ_by_purpose():
    fresh, control = points().fresh_costs("unseen"), points().fresh_costs("known")
    assert not torch.equal(fresh.K, control.K)
    torch.testing.assert_close(fresh.K, control.K, atol=0.02, rtol=0)
    assert fresh.c.tolist() == pytest.approx([2, 2], abs=0.05)


def test_rows_are_complete(result):
    rows = result.rows
    assert not rows.duplicated(KEYS).any()
    games = 3 * 2 * 2
    groups_and_times = {
        "nash-gap": (1, 11),
        "own-gap": (1, 3),
        "loss": (3, 3),
        "generalisation-gap": (3, 3),
        "kl": (3, 2),
        "step": (1, 1),
    }
    for metric, (groups, times) in groups_and_times.items():
        assert (rows["metric"] == metric).sum() == games * groups * times, metric
    exact = 3 * 3
    assert (rows["metric"] == "frechet-heun").sum() == games * 3 * 2 + exact
    assert rows["value"].notna().all()
    assert (rows["error"].notna() == (rows["metric"] == "kl")).all()
    steps = rows.loc[rows["metric"] == "nash-gap", "steps"].unique()
    assert sorted(steps) == [1, 2, 4, 8, 10, 16, 32, 64, 128, 256, 300]
    assert result.A.shape == (2, 2, 2, 10, 2) and result.W.shape == (2, 10)


def test_worst_is_the_largest(result):
    wide = result.rows[result.rows["metric"].isin(["kl", "frechet-heun", "loss"])].pivot_table(
        index=[k for k in KEYS if k != "group"], columns="group", values="value", dropna=False
    )
    wide = wide.dropna()
    assert len(wide) and (wide["worst"] == wide[["head", "tail"]].max(axis=1)).all()


def test_the_game_is_solved(result):
    rows = result.rows
    end = rows[(rows["metric"] == "own-gap") & (rows["steps"] == math.inf)]
    assert end.loc[end["beta"] == 0, "value"].max() < 1e-20
    assert end.loc[end["beta"] > 0, "value"].min() > 0
    gaps = rows[rows["metric"] == "nash-gap"].pivot_table(
        index="steps", columns=["seed", "tail", "beta"], values="value"
    )
    assert (gaps.iloc[-1] < gaps.iloc[0]).all() and (gaps > 0).all().all()


def test_rows_do_not_depend_on_the_memory_limit(result, monkeypatch):
    monkeypatch.setattr(lab, "MATRIX_MEMORY", 1)
    again = lab.run(SMALL).rows
    both = result.rows.merge(again, on=KEYS, suffixes=("", "_again"))
    assert len(both) == len(again) == len(result.rows)
    same = (both["value"] - both["value_again"]).abs() <= 1e-7 * both["value"].abs() + 1e-12
    assert same.all()


def test_a_seed_does_not_depend_on_the_rest_of_the_sweep(result):
    alone = lab.run(replace(SMALL, seeds=1, tails=(7,))).rows
    both = alone.merge(result.rows, on=KEYS, suffixes=("", "_again"))
    both = both[both["metric"].isin(["loss", "generalisation-gap", "own-gap"])]
    ends = both[both["steps"] == math.inf]
    assert len(ends) == 2 * (3 + 3 + 1)
    assert ends["value"].tolist() == pytest.approx(ends["value_again"].tolist(), abs=1e-9)


def test_a_sweep_is_reproducible(result):
    pd.testing.assert_frame_equal(lab.run(SMALL).rows, result.rows)


def test_step_sizes_differ_by_game_or_are_shared_by_a_seed(result):
    own = result.rows[result.rows["metric"] == "step"]
    bounds = result.rows[result.rows["metric"] == "step-bound"].set_index("beta")["value"]
    first = own[(own["seed"] == 0) & (own["tail"] == 3)].set_index("beta")["value"]
    assert (0.5 * bounds < first).all() and (first < bounds).all()
    assert own.groupby("seed")["value"].nunique().gt(1).all()
    rows = lab.run(replace(SMALL, seeds=2, shared_step=True)).rows
    shared = rows[rows["metric"] == "step"].groupby("seed")["value"]
    assert shared.nunique().eq(1).all()
    assert shared.first()[0] == pytest.approx(own[own["seed"] == 0]["value"].min())


def test_sequential_and_simultaneous_steps_converge_to_the_same_weights():
    long = replace(SMALL, seeds=1, tails=(7,), steps=(2**22,))
    orders = "simultaneous", "sequential"
    ends = [lab.run(replace(long, update_order=order)).A for order in orders]
    assert abs(ends[0] - ends[1]).max() < 1e-6 * abs(ends[0]).max()


def test_a_step_size_at_which_training_diverges_is_an_error():
    with pytest.raises(LtdmError, match=r"lower the sweep's step \(40\)"):
        lab.run(replace(SMALL, seeds=1, step=40.0))


def test_three_classes_and_three_dimensions():
    component, std = PRESETS["overlapping"]["tail"][0], (1.0, 1.0, 1.0)
    components = [replace(component, mean=(k, 0.0, 0.0), std=std) for k in range(3)]
    classes = MixtureSet(None, {name: (c,) for name, c in zip("abc", components, strict=True)})
    rows = lab.run(replace(SMALL, classes=classes, seeds=1)).rows
    assert sorted(rows["group"].unique()) == ["a", "b", "c", "worst"]
    assert rows["value"].notna().all()
