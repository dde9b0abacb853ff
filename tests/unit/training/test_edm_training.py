"""Training on EDM's process: every method, its schedule, u, norms that are kept, and snapshots."""

import math

import pytest
import torch

from ltdm.core.weights import read_weights
from ltdm.networks._magnitude import Forced
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import read_json, write_npz
from ltdm.plumbing.options import parse
from ltdm.stages import single
from ltdm.stages import train as stage
from ltdm.training.options import TrainOptions
from ltdm.training.schedule import learning_rate
from ltdm.training.setup import Recipe, make_trainer
from ltdm.training.state import Files
from tests.helpers.stages import asked
from tests.unit.training.test_training import CPU, data, run

NETWORK = {"name": "edm2", "ch": 8, "norm_groups": 4, "ch_mult": [1, 2], "attn": [1],
           "num_res_blocks": 1, "head_channels": 8}  # fmt: skip
TRAIN = {
    "steps": 12,
    "batch_size": 9,
    "lr": 1e-2,
    "warmup_steps": 2,
    "grad_clip": None,
    "log_every": 3,
}
METHODS = [
    "ddpm", "cbdm", "oclt", "ccua", "agc", ["oclt", "cbdm", "agc"],
    {"name": "igd", "mode": "shared"},
    {"name": "igd", "mode": "released"}, {"name": "igd"},
]  # fmt: skip


@pytest.fixture(autouse=True)
def _save_always(monkeypatch):
    """Save the state at every row of the history."""
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")


def spec(method="ddpm", config="E", process=None, **train):
    separate = isinstance(method, dict) and method.get("mode", "separate") == "separate"
    train = {**TRAIN, "label_dropout": 0.0 if separate else 0.1, **train}
    return {"network": {**NETWORK, "config": config}, "process": {"name": "edm", **(process or {})},
            "method": method, "train": train}  # fmt: skip


def trainer(*given, **options):
    return make_trainer(Recipe.from_spec(spec(*given, **options)), 0, *data(), CPU)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_trains_and_goes_on_to_the_bit(method):
    one = trainer(method, posthoc_ema={"snapshots": 4})
    saved = run(one)
    assert all(math.isfinite(row["loss"]) for row in one.history)
    again = trainer(method, posthoc_ema={"snapshots": 4})
    saved[1].seek(0)
    again.resume(torch.load(saved[1], weights_only=True))
    run(again)
    for ours, theirs in ((one.net, again.net), (one.process, again.process)):
        for name, value in ours.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[name])
    for average, other in zip(
        (one.ema, *one.power_emas), (again.ema, *again.power_emas), strict=True
    ):
        for name, value in average.state_dict().items():
            assert torch.equal(value, other.state_dict()[name])
    assert one.history == again.history


@pytest.mark.parametrize("config", ["C", "E", "G"])
def test_norms_are_kept_and_waves_stay_as_they_were(config):
    one = trainer(config=config)
    before = {k: v.clone() for k, v in one.net.state_dict().items()}
    run(one)
    layers = [m for m in one.net.modules() if isinstance(m, Forced)]
    assert bool(layers) == (config != "C")
    for layer in (*layers, one.process.uncertainty.line):
        sizes = layer.weight.flatten(1).square().mean(1)
        torch.testing.assert_close(sizes, torch.ones_like(sizes), rtol=1e-3, atol=1e-3)
    after = one.net.state_dict()
    assert torch.equal(before["embedding.waves.phase"], after["embedding.waves.phase"])
    moved = [k for k, v in one.net.named_parameters() if not torch.equal(v, before[k])]
    assert len(moved) > 0.8 * len(dict(one.net.named_parameters()))


def test_u_learns_the_log_of_the_loss_at_each_level():
    one = trainer(process={"logvar": "linear"}, steps=300, lr=2e-2, warmup_steps=10, log_every=50)
    run(one)
    levels = one.process.draw(10_000, torch.Generator().manual_seed(0))
    u = one.process.log_error(levels).mean().item()
    assert abs(u) > 0.02
    assert one.history[-1]["loss"] - u == pytest.approx(1, abs=0.25), "what e^-u leaves of the loss"


def test_the_rate_is_counted_in_images():
    """FutureXiang/edm2's E on CIFAR: 2e-2, rising for 200 epochs, falling from 400 on."""
    options = parse(TrainOptions, {"lr": 2e-2, "batch_size": 512, "warmup_images": 10_000_000,
                                   "lr_decay_images": 20_000_000})  # fmt: skip
    rates = {
        epoch: learning_rate(options, epoch * 50_000 // 500, 500)
        for epoch in (0, 100, 200, 400, 1000, 1500, 1999)
    }
    expected = {
        0: 0,
        100: 1e-2,
        200: 2e-2,
        400: 2e-2,
        1000: 1.265e-2,
        1500: 1.033e-2,
        1999: 8.95e-3,
    }
    assert rates == pytest.approx(expected, rel=1e-3)
    constant = parse(TrainOptions, {"lr": 4e-4, "warmup_images": 1000})
    assert learning_rate(constant, 10**6, 64) == 4e-4


def test_betas_and_no_clipping_reach_the_optimiser():
    one = trainer(adam_betas=[0.9, 0.99])
    assert one.optimiser.adam.defaults["betas"] == (0.9, 0.99)
    one.step()
    grad = torch.stack([p.grad.norm() for p in one.optimiser.weights if p.grad is not None]).norm()
    free = grad.item()
    tied = trainer(grad_clip=free / 4)
    tied.step()
    rows = [p.grad.norm() for p in tied.optimiser.weights if p.grad is not None]
    clipped = torch.stack(rows).norm()
    assert clipped.item() == pytest.approx(free / 4, rel=1e-3)


def test_the_file_holds_snapshots_of_both_widths(tmp_path):
    images, labels = data()
    write_npz(tmp_path / "train.npz", images=images, labels=labels)
    names = {"model": "model.safetensors", "history": "history.csv", "record": "run.json"}
    files = {kind: tmp_path / name for kind, name in names.items()}
    whole = spec(config="G", posthoc_ema={"snapshots": 3, "sigma_rel": [0.05, 0.1]})
    stage.run(asked(whole), data=tmp_path / "train.npz", init=None, **files)
    tensors, about = read_weights(files["model"], "snapshot.")
    assert about["posthoc"] == {"sigma_rel": [0.05, 0.1], "updates": [4, 8, 12]}
    weights = [name for name, _ in trainer(config="G").net.named_parameters()]
    assert sorted(tensors) == sorted(
        f"{width}.{update}.{name}" for width in ("0.05", "0.1") for update in (4, 8, 12)
        for name in weights
    )  # fmt: skip
    assert all(t.dtype == torch.float16 for t in tensors.values())
    one = make_trainer(Recipe.from_spec(whole), 0, images, labels, CPU)
    run(one)
    for power, width in zip(one.power_emas, ("0.05", "0.1"), strict=True):
        for name, value in power.average.items():
            assert torch.equal(tensors[f"{width}.12.{name}"], value.half())
    assert read_json(files["record"])["updates"] == 12
    assert not (tmp_path / "state").exists()
    averaged, _ = read_weights(files["model"], "ema.")
    one.net.load_state_dict(averaged)  # buffers are there too


def test_a_run_that_starts_from_another_keeps_norms_and_takes_its_waves():
    source, heir = trainer(), make_trainer(Recipe.from_spec(spec()), 1, *data(), CPU)
    run(source)
    heir.init_from(source.ema.state_dict())
    assert torch.equal(heir.ema.state_dict()["embedding.waves.phase"],
                       source.net.state_dict()["embedding.waves.phase"])  # fmt: skip
    for layer in (m for m in heir.net.modules() if isinstance(m, Forced)):
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
def test_what_does_not_go_together_is_refused(train, message):
    with pytest.raises(OptionError, match=message):
        parse(TrainOptions, train)


def test_a_loss_that_begins_below_zero_has_not_diverged():
    """With u it is about 1 + ln of the error; what runs away is the loss before that."""
    one = trainer()
    one.history, one.step_count = [{"update": 0, "loss": -0.3, "uncertainty": -0.5}], 1
    one.loss_sums = {name: torch.tensor(value) for name, value in
                (("loss", 0.4), ("uncertainty", 0.1), ("grad_norm", 1.0))}  # fmt: skip
    one._means()
    one.loss_sums["loss"] = torch.tensor(300.0)
    with pytest.raises(LtdmError, match="diverged"):
        one._means()


def test_u_does_not_clip_the_networks():
    """Of separate networks each has a norm of its own, and u's counts for none of them."""
    game = trainer({"name": "igd"}, grad_clip=1e-3)
    game.step()
    rows = [p.grad.flatten(1).norm(dim=1) for p in game.optimiser.weights if p.grad is not None]
    assert torch.stack(rows).norm(dim=0).tolist() == pytest.approx([1e-3] * 3, rel=1e-2)
    (u,) = game.optimiser.extra_params
    assert u.grad.norm().item() == pytest.approx(1e-3, rel=1e-2)


def test_a_snapshot_that_is_lost_is_told_at_once(tmp_path):
    images, labels = data()
    write_npz(tmp_path / "train.npz", images=images, labels=labels)
    whole, made = spec(posthoc_ema={"snapshots": 4}), ("model", "history", "record")
    files = Files(tmp_path / "train.npz", None, *(tmp_path / name for name in made))
    recipe, who = Recipe.from_spec(whole), asked(whole)
    kept = files.state(who)
    one = make_trainer(Recipe.from_spec(whole), 0, images, labels, CPU)
    for update in (3, 6):
        for _ in range(3):
            one.step()
        kept.save_snapshot(update, one.snapshots())
    kept.save({**one.state(), "where": ["here"]})
    lost = kept.folder / "snapshots/3.safetensors"
    content = lost.read_bytes()
    for damage in (lambda: lost.write_bytes(content[:50]), lost.unlink):
        damage()
        with pytest.raises(LtdmError, match=r"3.safetensors is missing or damaged; delete the"):
            single.fit(recipe, who, files, None)
    lost.write_bytes(content)
    single.fit(recipe, who, files, None)
    straight = make_trainer(Recipe.from_spec(whole), 0, images, labels, CPU)
    run(straight)
    tensors, _ = read_weights(tmp_path / "model", "ema.")
    assert all(torch.equal(v, tensors[k]) for k, v in straight.ema.average.items())


def test_divergence_tells_of_it():
    one = trainer(process={"logvar": "none"}, config="C", lr=1e4, steps=60)
    with pytest.raises(LtdmError, match="diverged"):
        run(one)
