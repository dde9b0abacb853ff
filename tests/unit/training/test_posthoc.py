"""Post-hoc EMA: power-function profiles, and averages mixed from snapshots."""

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
from ltdm.training.posthoc import (
    MAX_SIGMA_REL,
    coefficients,
    gamma_of,
    profile_error,
    profile_product,
)
from tests.helpers.stages import PLAIN_SAMPLING, make_request, network_files
from tests.helpers.training import SPEC, data

STORED = (0.05, 0.1)
PROFILE_ERRORS = {  # L2, % of the profile's norm, by snapshots per width and target width
    10: {0.03: "7.7", 0.075: "0.8", 0.15: "2.2", 0.2: "5.2", 0.25: "13"},
    20: {0.03: "2.6", 0.075: "0.2", 0.15: "0.6", 0.2: "1.5", 0.25: "5.9"},
    40: {0.03: "0.7", 0.075: "0.06", 0.15: "0.15", 0.2: "0.4", 0.25: "2.6"},
    80: {0.03: "0.2", 0.075: "0.01", 0.15: "0.04", 0.2: "0.1", 0.25: "1.1"},
}


def snapshots(number, steps=1.0):
    """Return times and exponents of evenly spaced snapshots of both stored widths."""
    times = np.arange(1, number + 1) * steps / number
    return np.tile(times, 2), np.repeat([gamma_of(width) for width in STORED], number)


# Profiles


@pytest.mark.parametrize(
    ("width", "gamma"),
    [
        (0.01, 96.995),
        (0.05, 16.972),
        (0.075, 10.289),
        (0.1, 6.937),
        (0.13, 4.604),
        (0.15, 3.558),
        (0.2, 1.826),
        (0.25, 0.720),
    ],
)
def test_widths_and_exponents(width, gamma):
    g = gamma_of(width)
    assert g == pytest.approx(gamma, abs=5e-4)
    assert np.sqrt((g + 1) / ((g + 2) ** 2 * (g + 3))) == pytest.approx(width, rel=1e-10)


@pytest.mark.parametrize("width", [0.0, -0.1, MAX_SIGMA_REL, 0.5, float("nan")])
def test_a_width_without_a_profile_is_refused(width):
    with pytest.raises(LtdmError, match=r"sigma_rel .* between 0 and 0\.2887"):
        gamma_of(width)


def test_the_product_of_two_profiles_against_numerical_integration():
    times = (np.arange(200_000) + 0.5) / 100_000

    def profile(t, g):
        return np.where(times <= t, (g + 1) * (times / t) ** g / t, 0)

    for a, b in (((1.0, 3.0), (2.0, 7.0)), ((2.0, 0.7), (1.5, 5.0)), ((1.0, 3.0),) * 2):
        integral = (profile(*a) * profile(*b)).sum() / 100_000
        assert profile_product(*a, *b) == pytest.approx(integral, rel=1e-3)


def test_the_average_of_a_linear_path_has_its_closed_form():
    """Weights grow by one per step; the average is (g + 1) / (g + 2) of the last, within a step."""
    net = nn.Linear(1, 1, bias=False).double()
    averages = [PowerEMA(net, width) for width in STORED]
    for step in range(1, 1001):
        nn.init.constant_(net.weight, step)
        for average in averages:
            average.set_decay(step)
            average.update()
        if step in (1, 100, 1000):
            for average in averages:
                expected = (average.gamma + 1) / (average.gamma + 2) * step
                assert abs(average.average["weight"].item() - expected) < 1


# Mixing


def test_the_mix_of_a_stored_average_is_that_average():
    times, gammas = snapshots(20, 400)
    mix = [coefficients(times, gammas, t, g) for t, g in zip(times, gammas, strict=True)]
    assert np.abs(mix - np.eye(40)).max() < 1e-8
    last = coefficients(times, gammas, times[-1], gammas[-1])
    assert last.shape == (40,)
    assert np.abs(last - np.eye(40)[-1]).max() < 1e-10
    assert profile_error(last, times, gammas, times[-1], gammas[-1]) < 1e-7


@pytest.mark.parametrize("number", PROFILE_ERRORS)
def test_the_error_of_a_mixed_profile(number):
    """The table is of the plain least-squares fit; a sum of coefficients of 1 costs a little."""
    times, gammas = snapshots(number)
    for width, percent in PROFILE_ERRORS[number].items():
        target = 1.0, gamma_of(width)
        mix = coefficients(times, gammas, *target)
        assert mix.sum() == pytest.approx(1)
        products = profile_product(times[:, None], gammas[:, None], times, gammas)
        plain = np.linalg.solve(products, profile_product(times, gammas, *target))
        digits = len(percent.partition(".")[2])
        least, error = (100 * profile_error(x, times, gammas, *target) for x in (plain, mix))
        assert abs(round(least, digits) - float(percent)) < 1.01 * 10**-digits
        assert least <= error < 1.06 * least


@pytest.mark.parametrize("width", [0.05, 0.075, 0.13, 0.2])
def test_mixed_snapshots_equal_the_average_made_during_training(width):
    """Up to the bound of the profile's error (Cauchy-Schwarz), and float16 rounding."""
    steps, number = 2000, 20
    path = np.cumsum(np.random.default_rng(0).normal(size=(steps, 50)), axis=0) / 40
    times, gammas = snapshots(number, steps)
    exponents = [*dict.fromkeys(gammas), gamma_of(width)]
    average, stored = np.zeros((3, 50)), {}
    for step, weights in enumerate(path, 1):
        decay = (1 - 1 / step) ** (np.array(exponents)[:, None] + 1)
        average = decay * average + (1 - decay) * weights
        stored |= {(float(step), gamma): average[i].copy() for i, gamma in enumerate(exponents)}
    target = float(steps), exponents[-1]
    mix = coefficients(times, gammas, *target)
    halves = [stored[key].astype(np.float16) for key in zip(times, gammas, strict=True)]
    error = np.abs(mix @ np.array(halves, np.float32) - average[-1])
    bound = profile_error(mix, times, gammas, *target) * np.sqrt(profile_product(*target, *target))
    rounding = np.abs(mix).sum() * np.abs(path).max() * 2.0**-11
    one_step = np.abs(np.diff(path, axis=0)).max()  # profiles are continuous, steps are not
    spread = np.linalg.norm(path - path.mean(0), axis=0)
    assert (error <= bound * spread + rounding + one_step).all()
    assert np.abs(average[-1] - average[0]).max() > 5 * error.max() or width == STORED[0]


# The stage


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network with six snapshots."""
    folder = tmp_path_factory.mktemp("trained")
    images, labels = data()
    write_npz(folder / "train.npz", images=images, labels=labels)
    spec = {**SPEC, "train": {**SPEC["train"], "posthoc_ema": {"snapshots": 3}}}
    train.run(make_request(spec), data=folder / "train.npz", init=None, **network_files(folder))
    return folder / "model.safetensors"


def average(width, model, output, record=None):
    request = {"sigma_rel": width, "code": "this"}
    return ema.run(request, model=model, output=output, record=record)


def test_a_stored_width_gives_the_last_snapshot(trained, tmp_path):
    output, record = tmp_path / "0.1.safetensors", tmp_path / "0.1.json"
    metadata = average(0.1, trained, output, record)
    weights, about = read_weights(output)
    last, before = read_weights(trained, "snapshot.0.1.12.")
    averaged, _ = read_weights(trained, "ema.")
    assert before["posthoc"] == {"sigma_rel": [0.05, 0.1], "steps": [4, 8, 12]}
    assert weights.keys() == {f"ema.{name}" for name in averaged}
    for name, tensor in last.items():
        torch.testing.assert_close(weights[f"ema.{name}"], tensor.float(), atol=1e-6, rtol=0)
    assert metadata["l1"] == pytest.approx(1)
    assert metadata["model"] == before["key"] != metadata["key"] == about["key"]
    assert about["average"] == metadata == read_json(record)
    assert about["network"] == before["network"]
    again = tmp_path / "again.safetensors"
    average(0.1, trained, again)
    assert again.read_bytes() == output.read_bytes()


def test_buffers_are_copied(tmp_path):
    tensors = {"ema.w": torch.ones(2), "ema.table": torch.tensor([3.0]), "last.w": torch.zeros(2)}
    for width in STORED:
        for step in (5, 10):
            tensors[f"snapshot.{width}.{step}.w"] = torch.full((2,), step * 1.0).half()
    about = {"key": "k", "posthoc": {"sigma_rel": [*STORED], "steps": [5, 10]}}
    write_weights(tmp_path / "model", tensors, about)
    average(0.07, tmp_path / "model", tmp_path / "other")
    weights, _ = read_weights(tmp_path / "other")
    gammas = np.repeat([gamma_of(width) for width in STORED], 2)
    mix = coefficients([5, 10, 5, 10], gammas, 10, gamma_of(0.07))
    assert weights["ema.w"].tolist() == pytest.approx([mix @ [5, 10, 5, 10]] * 2, rel=1e-6)
    assert weights["ema.table"] == 3
    assert "last.w" not in weights

    del tensors["snapshot.0.1.5.w"]
    write_weights(tmp_path / "model", tensors, about)
    with pytest.raises(LtdmError, match=r"snapshot after .* 5"):
        average(0.07, tmp_path / "model", tmp_path / "other")


def test_bad_models_and_widths_are_refused(trained, tmp_path):
    other = tmp_path / "other.safetensors"
    average(0.2, trained, other)
    with pytest.raises(LtdmError, match=r"no snapshots .* train\.posthoc_ema"):
        average(0.2, other, tmp_path / "more")
    with pytest.raises(LtdmError, match="between 0 and"):
        average(0.3, trained, tmp_path / "more")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(trained.read_bytes()[:-10])
    with pytest.raises(LtdmError, match="is damaged"):
        average(0.2, cut, tmp_path / "more")
    assert not (tmp_path / "more").exists()


def test_the_command(trained, tmp_path):
    arguments = ["ema", str(trained), str(tmp_path / "x.safetensors"), "--sigma-rel"]
    printed = CliRunner().invoke(main, [*arguments, "0.07"]).output
    assert "x.safetensors: profile off by" in printed
    assert "coefficients of L1 norm 1." in printed
    refused = CliRunner().invoke(main, [*arguments, "0.005"])
    assert refused.exit_code == 2
    assert "0.005 is not in the range 0.01<=x<=0.28" in refused.output


def test_samples_record_the_average_that_made_them(trained, tmp_path):
    spec = {"sampler": {"name": "ddim", "steps": 2}, "num_images": 6, "ema_sigma_rel": 0.1}
    files = {"samples": tmp_path / "s.npz", "record": tmp_path / "s.json"}
    mixed = tmp_path / "0.1.safetensors"
    metadata = average(0.1, trained, mixed)
    sample.run(make_request(spec), model=mixed, **PLAIN_SAMPLING, **files)
    about = read_json(files["record"])
    assert (about["weights"], about["model"]) == ("posthoc-0.1", metadata["key"])
    for width, model, stored in (
        (0.2, mixed, "0.1"),
        (None, mixed, "0.1"),
        (0.1, trained, "unset"),
    ):
        request = make_request({**spec, "ema_sigma_rel": width})
        with pytest.raises(LtdmError, match=f"sigma_rel {stored}"):
            sample.run(request, model=model, **PLAIN_SAMPLING, **files)
