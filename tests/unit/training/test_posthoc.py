"""Averages with a power-function profile, and others made of their snapshots."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from ltdm.cli.main import main
from ltdm.core.weights import read_weights, write_weights
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json, write_npz
from ltdm.stages import ema, sample, train
from ltdm.training.ema import PowerEMA
from ltdm.training.posthoc import WIDEST, coefficients, gamma_of, inner, profile_error
from tests.helpers.stages import ALONE, asked, outputs
from tests.unit.training.test_training import SPEC, data

STORED = (0.05, 0.1)
OFF = {  # relative L2 error of a profile, percent, by snapshots of each width and wanted width
    10: {0.03: "7.7", 0.075: "0.8", 0.15: "2.2", 0.2: "5.2", 0.25: "13"},
    20: {0.03: "2.6", 0.075: "0.2", 0.15: "0.6", 0.2: "1.5", 0.25: "5.9"},
    40: {0.03: "0.7", 0.075: "0.06", 0.15: "0.15", 0.2: "0.4", 0.25: "2.6"},
    80: {0.03: "0.2", 0.075: "0.01", 0.15: "0.04", 0.2: "0.1", 0.25: "1.1"},
}


def snapshots(number, updates=1.0):
    """Times and exponents of evenly spaced snapshots of both stored widths."""
    times = np.arange(1, number + 1) * updates / number
    return np.tile(times, 2), np.repeat([gamma_of(width) for width in STORED], number)


# Profiles


@pytest.mark.parametrize(
    ("width", "gamma"),
    [(0.01, 96.995), (0.05, 16.972), (0.075, 10.289), (0.1, 6.937), (0.13, 4.604), (0.15, 3.558),
     (0.2, 1.826), (0.25, 0.720)],
)  # fmt: skip
def test_widths_and_exponents(width, gamma):
    g = gamma_of(width)
    assert g == pytest.approx(gamma, abs=5e-4)
    assert np.sqrt((g + 1) / ((g + 2) ** 2 * (g + 3))) == pytest.approx(width, rel=1e-10)


@pytest.mark.parametrize("width", [0.0, -0.1, WIDEST, 0.5, float("nan")])
def test_no_profile_has_such_a_width(width):
    with pytest.raises(LtdmError, match=r"sigma_rel must lie between 0 and 0\.2887, not"):
        gamma_of(width)


def test_the_product_of_two_profiles_against_a_sum():
    times = (np.arange(200_000) + 0.5) / 100_000

    def profile(t, g):
        return np.where(times <= t, (g + 1) * (times / t) ** g / t, 0)

    for one, other in (((1.0, 3.0), (2.0, 7.0)), ((2.0, 0.7), (1.5, 5.0)), ((1.0, 3.0),) * 2):
        summed = (profile(*one) * profile(*other)).sum() / 100_000
        assert inner(*one, *other) == pytest.approx(summed, rel=1e-3)


def test_the_average_of_a_steady_path_in_closed_form():
    """Of weights that grow by one an update: (g + 1) / (g + 2) of the last, but for a step."""
    net = nn.Linear(1, 1, bias=False).double()
    averages = [PowerEMA(net, width) for width in STORED]
    for update in range(1, 1001):
        nn.init.constant_(net.weight, update)
        for one in averages:
            one.schedule(update)
            one.move()
        if update in (1, 100, 1000):
            for one in averages:
                closed = (one.gamma + 1) / (one.gamma + 2) * update
                assert abs(one.average["weight"].item() - closed) < 1


# Mixing them


def test_a_stored_average_is_itself():
    times, gammas = snapshots(20, 400)
    mix = [coefficients(times, gammas, t, g) for t, g in zip(times, gammas, strict=True)]
    assert np.abs(mix - np.eye(40)).max() < 1e-8
    last = coefficients(times, gammas, times[-1], gammas[-1])
    assert last.shape == (40,)
    assert np.abs(last - np.eye(40)[-1]).max() < 1e-10
    assert profile_error(last, times, gammas, times[-1], gammas[-1]) < 1e-7


@pytest.mark.parametrize("number", OFF)
def test_how_far_a_mixed_profile_is_off(number):
    """The table is of the plain fit; that its coefficients sum to 1 costs a little."""
    times, gammas = snapshots(number)
    for width, percent in OFF[number].items():
        wanted = 1.0, gamma_of(width)
        mix = coefficients(times, gammas, *wanted)
        assert mix.sum() == pytest.approx(1)
        products = inner(times[:, None], gammas[:, None], times, gammas)
        plain = np.linalg.solve(products, inner(times, gammas, *wanted))
        digits = len(percent.partition(".")[2])
        least, error = (100 * profile_error(x, times, gammas, *wanted) for x in (plain, mix))
        assert abs(round(least, digits) - float(percent)) < 1.01 * 10**-digits
        assert least <= error < 1.06 * least


@pytest.mark.parametrize("width", [0.05, 0.075, 0.13, 0.2])
def test_mixed_snapshots_are_the_average_that_training_would_have_kept(width):
    """Within what the profile's error allows (Cauchy-Schwarz), and half precision."""
    updates, number = 2000, 20
    path = np.cumsum(np.random.default_rng(0).normal(size=(updates, 50)), axis=0) / 40
    times, gammas = snapshots(number, updates)
    every = [*dict.fromkeys(gammas), gamma_of(width)]
    average, kept = np.zeros((3, 50)), {}
    for update, weights in enumerate(path, 1):
        decay = (1 - 1 / update) ** (np.array(every)[:, None] + 1)
        average = decay * average + (1 - decay) * weights
        kept |= {(float(update), gamma): average[i].copy() for i, gamma in enumerate(every)}
    wanted = float(updates), every[-1]
    mix = coefficients(times, gammas, *wanted)
    stored = [kept[at].astype(np.float16) for at in zip(times, gammas, strict=True)]
    off = np.abs(mix @ np.array(stored, np.float32) - average[-1])
    error = profile_error(mix, times, gammas, *wanted) * np.sqrt(inner(*wanted, *wanted))
    rounding = np.abs(mix).sum() * np.abs(path).max() * 2.0**-11
    steps = np.abs(np.diff(path, axis=0)).max()  # time goes by whole updates
    assert (off <= error * np.linalg.norm(path - path.mean(0), axis=0) + rounding + steps).all()
    assert np.abs(average[-1] - average[0]).max() > 5 * off.max() or width == STORED[0]


# The stage


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network with six snapshots."""
    folder = tmp_path_factory.mktemp("trained")
    images, labels = data()
    write_npz(folder / "train.npz", images=images, labels=labels)
    spec = {**SPEC, "train": {**SPEC["train"], "posthoc_ema": {"snapshots": 3}}}
    train.run(asked(spec), data=folder / "train.npz", init=None, **outputs(folder))
    return folder / "model.safetensors"


def average(width, model, output, record=None):
    request = {"sigma_rel": width, "code": "this"}
    return ema.run(request, model=model, output=output, record=record)


def test_a_stored_width_gives_the_last_snapshot(trained, tmp_path):
    output, record = tmp_path / "0.1.safetensors", tmp_path / "0.1.json"
    made = average(0.1, trained, output, record)
    weights, about = read_weights(output)
    last, before = read_weights(trained, "snapshot.0.1.12.")
    averaged, _ = read_weights(trained, "ema.")
    assert before["posthoc"] == {"sigma_rel": [0.05, 0.1], "updates": [4, 8, 12]}
    assert weights.keys() == {f"ema.{name}" for name in averaged}
    for name, tensor in last.items():
        torch.testing.assert_close(weights[f"ema.{name}"], tensor.float(), atol=1e-6, rtol=0)
    assert made["l1"] == pytest.approx(1)
    assert made["model"] == before["key"] != made["key"] == about["key"]
    assert about["average"] == made == read_json(record)
    assert about["network"] == before["network"]
    again = tmp_path / "again.safetensors"
    average(0.1, trained, again)
    assert again.read_bytes() == output.read_bytes()


def test_buffers_stay_as_they_are(tmp_path):
    tensors = {"ema.w": torch.ones(2), "ema.table": torch.tensor([3.0]), "last.w": torch.zeros(2)}
    for width in STORED:
        for update in (5, 10):
            tensors[f"snapshot.{width}.{update}.w"] = torch.full((2,), update * 1.0).half()
    about = {"key": "k", "posthoc": {"sigma_rel": [*STORED], "updates": [5, 10]}}
    write_weights(tmp_path / "model", tensors, about)
    average(0.07, tmp_path / "model", tmp_path / "other")
    weights, _ = read_weights(tmp_path / "other")
    mix = coefficients([5, 10, 5, 10], np.repeat([gamma_of(w) for w in STORED], 2), 10,
                       gamma_of(0.07))  # fmt: skip
    assert weights["ema.w"].tolist() == pytest.approx([mix @ [5, 10, 5, 10]] * 2, rel=1e-6)
    assert weights["ema.table"] == 3
    assert "last.w" not in weights

    del tensors["snapshot.0.1.5.w"]
    write_weights(tmp_path / "model", tensors, about)
    with pytest.raises(LtdmError, match="lacks weights of its snapshot after update 5"):
        average(0.07, tmp_path / "model", tmp_path / "other")


def test_refuses_with_a_way_out(trained, tmp_path):
    other = tmp_path / "other.safetensors"
    average(0.2, trained, other)
    with pytest.raises(LtdmError, match=r"holds no snapshots .* set train\.posthoc_ema in its run"):
        average(0.2, other, tmp_path / "more")
    with pytest.raises(LtdmError, match="must lie between 0 and"):
        average(0.3, trained, tmp_path / "more")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(trained.read_bytes()[:-10])
    with pytest.raises(LtdmError, match="is damaged"):
        average(0.2, cut, tmp_path / "more")
    assert not (tmp_path / "more").exists()


def test_by_hand(trained, tmp_path):
    arguments = ["posthoc", str(trained), str(tmp_path / "x.safetensors"), "--sigma-rel"]
    printed = CliRunner().invoke(main, [*arguments, "0.07"]).output
    assert "x.safetensors: profile off by" in printed
    assert "coefficients of L1 norm 1." in printed
    refused = CliRunner().invoke(main, [*arguments, "0.005"])
    assert refused.exit_code == 2
    assert "0.005 is not in the range 0.01<=x<=0.28" in refused.output


def test_images_say_whose_they_are(trained, tmp_path):
    spec = {"sampler": {"name": "ddim", "steps": 2}, "num_images": 6, "ema_sigma_rel": 0.1}
    files = {"samples": tmp_path / "s.npz", "record": tmp_path / "s.json"}
    mixed = tmp_path / "0.1.safetensors"
    made = average(0.1, trained, mixed)
    sample.run(asked(spec), model=mixed, **ALONE, **files)
    about = read_json(files["record"])
    assert (about["weights"], about["model"]) == ("posthoc-0.1", made["key"])
    for wrong, model, there in (({**spec, "ema_sigma_rel": 0.2}, mixed, "0.1"),
                                ({**spec, "ema_sigma_rel": None}, mixed, "0.1"),
                                (spec, trained, "unset")):  # fmt: skip
        with pytest.raises(LtdmError, match=f"has the weights of sigma_rel {there}, but"):
            sample.run(asked(wrong), model=model, **ALONE, **files)
