"""Training with EDM's process: methods, schedule, log-variance u, weight norms and snapshots."""

import math

import pytest
import torch

from ltdm.core.weights import read_weights
from ltdm.networks._magnitude import MPLayer
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import read_json, write_npz
from ltdm.plumbing.options import parse
from ltdm.stages import single
from ltdm.stages import train as stage
from ltdm.training.options import TrainOptions
from ltdm.training.schedule import learning_rate
from ltdm.training.setup import Recipe, make_trainer
from ltdm.training.state import Files
from tests.helpers.stages import make_request
from tests.helpers.training import CPU, data, run

NETWORK = {
    "name": "edm2",
    "ch": 8,
    "norm_groups": 4,
    "ch_mult": [1, 2],
    "attn": [1],
    "num_res_blocks": 1,
    "head_channels": 8,
}
TRAIN = {
    "steps": 12,
    "batch_size": 9,
    "lr": 1e-2,
    "warmup_steps": 2,
    "grad_clip": None,
    "log_every": 3,
}
METHODS = [
    *("ddpm", "cbdm", "oclt", "ccua", "agc"),
    ["oclt", "cbdm", "agc"],
    {"name": "igd", "mode": "shared"},
    {"name": "igd", "mode": "released"},
    {"name": "igd"},
]


@pytest.fixture(autouse=True)
def _save_always(monkeypatch):
    """Save the state at every row of the history."""
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")


def spec(method="ddpm", config="E", process=None, **train):
    separate = isinstance(method, dict) and method.get("mode", "separate") == "separate"
    train = {**TRAIN, "label_dropout": 0.0 if separate else 0.1, **train}
    return {
        "network": {**NETWORK, "config": config},
        "process": {"name": "edm", **(process or {})},
        "method": method,
        "train": train,
    }


def trainer(*args, **options):
    return make_trainer(Recipe.from_spec(spec(*args, **options)), 0, *data(), CPU)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_trains_and_resumes_to_the_bit(method):
    one = trainer(method, posthoc_ema={"snapshots": 4})
    saved = run(one)
    assert all(math.isfinite(row["loss"]) for row in one.history)
    again = trainer(method, posthoc_ema={"snapshots": 4})
    saved[1].seek(0)
    again.resume(torch.load(saved[1], weights_only=True))
    run(again)
    for module, resumed in ((one.net, again.net), (one.process, again.process)):
        for name, value in module.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name])
    for average, other in zip(
        (one.ema, *one.power_emas), (again.ema, *again.power_emas), strict=True
    ):
        for name, value in average.state_dict().items():
            assert torch.equal(value, other.state_dict()[name])
    assert one.history == again.history


@pytest.mark.parametrize("config", ["C", "E", "G"])
def test_weight_norms_are_one_and_fourier_features_are_constant(config):
    one = trainer(config=config)
    before = {k: v.clone() for k, v in one.net.state_dict().items()}
    run(one)
    layers = [m for m in one.net.modules() if isinstance(m, MPLayer)]
    assert bool(layers) == (config != "C")
    for layer in (*layers, one.process.uncertainty.line):
        sizes = layer.weight.flatten(1).square().mean(1)
        torch.testing.assert_close(sizes, torch.ones_like(sizes), rtol=1e-3, atol=1e-3)
    after = one.net.state_dict()
    assert torch.equal(before["embedding.waves.phase"], after["embedding.waves.phase"])
    moved = [k for k, v in one.net.named_parameters() if not torch.equal(v, before[k])]
    assert len(moved) > 0.8 * len(dict(one.net.named_parameters()))


def test_u_learns_the_log_of_the_loss_at_each_noise_level():
    one = trainer(process={"logvar": "linear"}, steps=300, lr=2e-2, warmup_steps=10, log_every=50)
    run(one)
    levels = one.process.draw_levels(10_000, torch.Generator().manual_seed(0))
    u = one.process.logvar(levels).mean().item()
    assert abs(u) > 0.02
    assert one.history[-1]["loss"] - u == pytest.approx(1, abs=0.25), (
        "the loss weighted by e^-u is 1"
    )


def test_the_learning_rate_follows_the_number_of_images():
    """FutureXiang/edm2's E on CIFAR: 2e-2, rising for 200 epochs, falling from 400 on."""
    images = {"warmup_images": 10_000_000, "lr_decay_images": 20_000_000}
    options = parse(TrainOptions, {"lr": 2e-2, "batch_size": 512, **images})
    rates = {0: 0, 100: 1e-2, 200: 2e-2, 400: 2e-2, 1000: 1.265e-2, 1500: 1.033e-2, 1999: 8.95e-3}
    found = {epoch: learning_rate(options, epoch * 50_000 // 500, 500) for epoch in rates}
    assert found == pytest.approx(rates, rel=1e-3)
    constant = parse(TrainOptions, {"lr": 4e-4, "warmup_images": 1000})
    assert learning_rate(constant, 10**6, 64) == 4e-4


def test_betas_and_no_clipping_reach_the_optimiser():
    one = trainer(adam_betas=[0.9, 0.99])
    assert one.optimiser.adam.defaults["betas"] == (0.9, 0.99)
    one.step()
    grad = torch.stack([p.grad.norm() for p in one.optimiser.weights if p.grad is not None]).norm()
    norm = grad.item()
    clipping = trainer(grad_clip=norm / 4)
    clipping.step()
    norms = [p.grad.norm() for p in clipping.optimiser.weights if p.grad is not None]
    clipped = torch.stack(norms).norm()
    assert clipped.item() == pytest.approx(norm / 4, rel=1e-3)


def test_the_file_holds_snapshots_of_both_widths(tmp_path):
    images, labels = data()
    write_npz(tmp_path / "train.npz", images=images, labels=labels)
    names = {"model": "model.safetensors", "history": "history.csv", "record": "run.json"}
    files = {kind: tmp_path / name for kind, name in names.items()}
    run_spec = spec(config="G", posthoc_ema={"snapshots": 3, "sigma_rel": [0.05, 0.1]})
    stage.run(make_request(run_spec), data=tmp_path / "train.npz", init=None, **files)
    tensors, about = read_weights(files["model"], "snapshot.")
    assert about["posthoc"] == {"sigma_rel": [0.05, 0.1], "steps": [4, 8, 12]}
    weights = [name for name, _ in trainer(config="G").net.named_parameters()]
    snapshots = [f"{width}.{step}" for width in ("0.05", "0.1") for step in (4, 8, 12)]
    assert sorted(tensors) == sorted(f"{s}.{name}" for s in snapshots for name in weights)
    assert all(t.dtype == torch.float16 for t in tensors.values())
    one = make_trainer(Recipe.from_spec(run_spec), 0, images, labels, CPU)
    run(one)
    for power, width in zip(one.power_emas, ("0.05", "0.1"), strict=True):
        for name, value in power.average.items():
            assert torch.equal(tensors[f"{width}.12.{name}"], value.half())
    assert read_json(files["record"])["steps"] == 12
    assert not (tmp_path / "state").exists()
    averaged, _ = read_weights(files["model"], "ema.")
    one.net.load_state_dict(averaged)  # it includes the buffers


def test_a_run_started_from_another_has_unit_norms_and_its_fourier_features():
    source, learner = trainer(), make_trainer(Recipe.from_spec(spec()), 1, *data(), CPU)
    run(source)
    learner.init_from(source.ema.state_dict())
    phases = [
        weights["embedding.waves.phase"]
        for weights in (learner.ema.state_dict(), source.net.state_dict())
    ]
    assert torch.equal(*phases)
    for layer in (m for m in learner.net.modules() if isinstance(m, MPLayer)):
        assert layer.weight.flatten(1).square().mean(1).sub(1).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"adam_betas": [0.9]}, "two numbers"),
        ({"steps": 10, "posthoc_ema": {}}, "is 20, but there are only 10 steps"),
        ({"posthoc_ema": {"sigma_rel": [0.1, 0.1005]}}, "at least 1 % apart"),
        ({"posthoc_ema": {}, "ensemble": {}}, "with an ensemble"),
        ({"posthoc_ema": {"sigma_rel": [0.3]}}, "at most 0.28"),
    ],
)
def test_options_that_do_not_go_together_are_refused(train, message):
    with pytest.raises(OptionError, match=message):
        parse(TrainOptions, train)


def test_a_loss_that_starts_below_zero_has_not_diverged():
    """With u, the loss is about 1 + ln of the error; divergence is judged by `denoise` alone."""
    one = trainer()
    one.history, one.step_count = [{"step": 0, "loss": -0.3, "denoise": 0.2}], 1
    values = {"loss": 0.4, "denoise": 0.3, "grad_norm": 1.0}
    one.loss_sums = {name: torch.tensor(value) for name, value in values.items()}
    one._means()
    one.loss_sums["denoise"] = torch.tensor(300.0)
    with pytest.raises(LtdmError, match="diverged"):
        one._means()


def test_the_gradient_of_u_does_not_clip_the_networks():
    """Each separate network has a gradient norm of its own, without u's gradient."""
    game = trainer({"name": "igd"}, grad_clip=1e-3)
    game.step()
    rows = [p.grad.flatten(1).norm(dim=1) for p in game.optimiser.weights if p.grad is not None]
    assert torch.stack(rows).norm(dim=0).tolist() == pytest.approx([1e-3] * 3, rel=1e-2)
    (u,) = game.optimiser.extra_params
    assert u.grad.norm().item() == pytest.approx(1e-3, rel=1e-2)


def test_a_lost_snapshot_is_an_error_at_once(tmp_path):
    images, labels = data()
    write_npz(tmp_path / "train.npz", images=images, labels=labels)
    run_spec, outputs = spec(posthoc_ema={"snapshots": 4}), ("model", "history", "record")
    files = Files(tmp_path / "train.npz", None, *(tmp_path / name for name in outputs))
    recipe, identity = Recipe.from_spec(run_spec), make_request(run_spec)
    state = files.state(identity)
    one = make_trainer(recipe, 0, images, labels, CPU)
    for step in (3, 6):
        for _ in range(3):
            one.step()
        state.save_snapshot(step, one.snapshots())
    state.save({**one.state(), "where": ["a device"]})
    snapshot = state.folder / "snapshots/3.safetensors"
    content = snapshot.read_bytes()
    for damage in (lambda: snapshot.write_bytes(content[:50]), snapshot.unlink):
        damage()
        with pytest.raises(LtdmError, match=r"3.safetensors is missing or damaged"):
            single.fit(recipe, identity, files, None)
    snapshot.write_bytes(content)
    single.fit(recipe, identity, files, None)
    uninterrupted = make_trainer(recipe, 0, images, labels, CPU)
    run(uninterrupted)
    tensors, _ = read_weights(tmp_path / "model", "ema.")
    assert all(torch.equal(v, tensors[k]) for k, v in uninterrupted.ema.average.items())


def test_divergence_is_an_error():
    one = trainer(process={"logvar": "none"}, config="C", lr=1e4, steps=60)
    with pytest.raises(LtdmError, match="diverged"):
        run(one)
