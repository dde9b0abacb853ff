import copy

import pytest
import torch

from ltdm.core.seeding import derive_seed
from ltdm.plumbing.errors import LtdmError
from ltdm.training.ema import EMA
from ltdm.training.options import TrainOptions
from ltdm.training.schedule import learning_rate
from ltdm.training.state import State, run_key
from tests.helpers.training import CPU, METHODS, SPEC, NoWaiting, learner_of, run, same, trainer


@pytest.fixture(autouse=True)
def _save_always(monkeypatch):
    """Save the state at every row of the history."""
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")


@pytest.mark.parametrize("name", METHODS)
def test_resumed_equals_uninterrupted_to_the_bit(name):
    """An objective's state is resumed too: with another bank, AGC would skip other images."""
    uninterrupted = learner_of(name)
    saved = run(uninterrupted)
    assert len(saved) == 3
    for file in saved[1:]:
        file.seek(0)
        resumed = learner_of(name)
        resumed.resume(torch.load(file, weights_only=True))
        run(resumed)
        assert same(uninterrupted, resumed)
        assert resumed.history == uninterrupted.history
        state = uninterrupted.method.state_dict()
        assert all(torch.equal(v, state[k]) for k, v in resumed.method.state_dict().items())


def test_a_seed_decides_everything_and_the_global_generator_nothing():
    torch.manual_seed(1)
    one = trainer()
    run(one)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    two, other = trainer(), trainer(seed=1)
    run(two)
    run(other)
    assert same(one, two)
    assert not same(one, other)
    assert torch.equal(before, torch.random.get_rng_state()), "the global generator is left alone"


def test_loss_falls():
    learner = trainer(steps=150, lr=3e-3, log_every=10)
    run(learner)
    losses = [row["loss"] for row in learner.history]
    assert losses[-1] < 0.7 * losses[0]
    columns = {"step", "images", "lr", "loss", "denoise", "balance", "grad_norm"}
    groups = {f"balance@{group}" for group in ("head", "medium", "tail")}
    assert set(learner.history[0]) == columns | groups


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("class_sampling", ["natural", "balanced"])
def test_a_step_never_waits_for_the_device(name, class_sampling):
    learner = learner_of(name, class_sampling=class_sampling, augment="ada")
    with NoWaiting():
        for _ in range(3):
            learner.step()
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NoWaiting():
        learner._log()


def test_divergence_is_an_error_and_the_last_good_state_is_saved():
    runaway = trainer(steps=30, lr=1e9, warmup_steps=6, log_every=1)
    saved = []
    with pytest.raises(LtdmError, match=r"diverged before step \d+: .*lower train.lr"):
        runaway.fit(lambda state: saved.append(copy.deepcopy(state)))
    assert saved
    assert all(torch.isfinite(v).all() for s in saved for v in s["net"].values())


def test_losses_below_zero_are_no_divergence():
    learner = trainer(method={"name": "dispersive", "weight": 100.0})
    learner.fit(lambda state: None)
    assert learner.history[0]["loss"] < 0


def test_a_state_after_a_nan_gradient_is_never_saved():
    """The loss is still finite in the step whose gradient breaks the weights."""
    learner, saved = trainer(), []
    plain = learner.method.loss

    def breaks(*args):
        terms = plain(*args)
        if learner.step_count == 5:
            terms["denoise"].register_hook(lambda gradient: gradient * float("nan"))
        return terms

    learner.method.loss = breaks
    with pytest.raises(LtdmError, match=r"diverged .* norm nan"):
        learner.fit(lambda state: saved.append(copy.deepcopy(state)))
    assert len(saved) == 1
    assert all(torch.isfinite(v).all() for v in saved[0]["net"].values())


def test_learnt_parameters_of_an_objective_are_trained():
    learner = trainer()
    learner.method.scale = torch.nn.Parameter(torch.ones(()))
    plain = learner.method.loss
    learner.method.loss = lambda *a: {k: v * learner.method.scale for k, v in plain(*a).items()}
    again = type(learner)(
        learner.net, learner.method, learner.process, learner.batches, learner.options, 0
    )
    run(again)
    assert learner.method.scale.item() < 0.9999


def test_warm_up_starts_at_zero():
    options = TrainOptions()
    assert [learning_rate(options, u, 64) for u in (0, 1, 2)] == pytest.approx([0, 4e-8, 8e-8])
    assert learning_rate(options, 5000, 64) == learning_rate(options, 10**6, 64) == 2e-4
    assert learning_rate(TrainOptions(warmup_steps=0), 0, 64) == 2e-4


def test_ema_has_its_closed_form():
    net = torch.nn.Linear(1, 1, bias=False).double()
    net.weight.data.fill_(1.0)
    ema = EMA(net, 0.9)
    net.weight.data.fill_(3.0)
    for _ in range(7):
        ema.update()
    assert ema.average["weight"].item() == pytest.approx(3 - 2 * 0.9**7, rel=1e-12)


def test_a_state_that_is_another_run_s_or_damaged_is_refused(tmp_path, caplog):
    caplog.set_level("INFO")
    key = run_key({"spec": SPEC, "seed": 0})
    assert key != run_key({"spec": SPEC, "seed": 1})
    state, other = (State(tmp_path / "state", k) for k in (key, "0" * 16))
    assert state.load(CPU) is None
    state.save({"step": 3})
    assert state.load(CPU)["step"] == 3
    other.folder.mkdir()
    other.file.write_bytes(state.file.read_bytes())
    with pytest.raises(LtdmError, match="run with other options"):
        other.load(CPU)
    state.file.write_bytes(state.file.read_bytes()[:100])
    with pytest.raises(LtdmError, match=r"is damaged.* delete the folder"):
        state.load(CPU)
    assert State(tmp_path / "state", "1" * 16).load(CPU) is None
    assert "unfinished run with other options" in caplog.text
    state.clear()
    assert list(tmp_path.iterdir()) == []


def test_image_and_step_seeds_never_collide_in_32_bits():
    seeds = {derive_seed("image", 3, i) % 2**32 for i in range(100_000)}
    assert len(seeds) == 100_000
    assert derive_seed("image", 3, 0) != derive_seed("image", 4, 0) != derive_seed("noise", 4, 0)
    assert 0 <= derive_seed("image", 3, 2**32 - 1) < 2**63
