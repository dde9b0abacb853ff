"""A training step as one graph: on the CPU, a step recorded on a tape replays as any step."""

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch

from ltdm.plumbing.errors import LtdmError
from ltdm.training import graph
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.tape import Tape
from tests.helpers.training import CPU, METHODS, data, run, same, spec_of


@pytest.fixture(autouse=True)
def _save_always(monkeypatch):
    """Save the state at every row of the history."""
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")


TRAIN = {"class_sampling": "balanced", "augment": "ada", "steps": 12}


class TapedStep:
    """Does what `StepGraph` does, with a tape instead of a CUDA graph."""

    def __init__(self, work):
        self.work, self.tape, self.calls = work, None, 0

    def __call__(self):
        if self.calls < graph.WARMUP_CALLS:
            self.work()
        elif self.tape is None:
            self.tape = Tape()
            with self.tape:
                self.work()
        else:
            self.tape.replay()
        self.calls += 1


def plain(name, **train):
    """Return a learner; separate networks have no dropout, whose seeding no tape can record."""
    spec = spec_of(name, **{**TRAIN, **train})
    if name.endswith("separate"):
        spec["network"] = {**spec["network"], "dropout": 0.0}
    return make_trainer(Recipe.from_spec(spec), 0, *data(), CPU)


def taped(name, **train):
    learner = plain(name, **train)
    learner.run_device_step = TapedStep(learner._device_step)
    return learner


@pytest.mark.parametrize("name", METHODS)
def test_a_recorded_step_replays_as_every_step_to_the_bit(name):
    """Batches, noise, dropout, learning rate, Adam, averages and losses all follow the step."""
    snapshots = {} if name == "edm2-separate" else {"posthoc_ema": {"snapshots": 3}}
    one, other = taped(name, **snapshots), plain(name, **snapshots)
    for learner in (one, other):
        run(learner)
    assert one.run_device_step.tape is not None
    assert same(one, other)
    assert one.history == other.history
    assert one.method.state_dict().keys() == other.method.state_dict().keys()
    for key, value in one.method.state_dict().items():
        assert torch.equal(value, other.method.state_dict()[key])
    for ema, other_ema in zip(one.power_emas, other.power_emas, strict=True):
        assert all(torch.equal(v, other_ema.average[k]) for k, v in ema.average.items())
    assert one.calls_per_image() == other.calls_per_image()


def test_a_run_resumed_within_a_graph_ends_the_same():
    uninterrupted = taped("cbdm")
    saved = run(uninterrupted)
    resumed = taped("cbdm")
    for _ in range(5):  # the graph then refers to other tensors
        resumed.step()
    saved[1].seek(0)
    resumed.resume(torch.load(saved[1], weights_only=True))
    resumed.run_device_step = TapedStep(resumed._device_step)
    run(resumed)
    assert same(uninterrupted, resumed)
    assert uninterrupted.history == resumed.history


def test_a_tape_repeats_the_numbers_that_a_step_took_from_the_host():
    """So the tests above would fail if, say, the learning rate were a number of the host."""
    one, other = taped("ddpm"), plain("ddpm")
    one.optimiser.adam.param_groups[0]["lr"] = 1e-3
    run(one)
    run(other)
    assert not same(one, other)


class Generator:
    """The interface of a GPU's generator that a graph uses."""

    device = "cpu"

    def __init__(self):
        self.states = []

    def initial_seed(self):
        return 5

    def graphsafe_set_state(self, state):
        self.states.append(state.initial_seed())


class FakeCuda:
    """The interface of torch.cuda that `StepGraph` uses; a capture may raise an error."""

    def __init__(self, monkeypatch, error=None):
        self.generators, self.replays, self.error = [], 0, error
        self.default, stream = Generator(), SimpleNamespace(wait_stream=lambda other: None)
        captured = SimpleNamespace(
            register_generator_state=self.generators.append, replay=self.replay
        )
        fakes = {
            "Stream": lambda: stream,
            "current_stream": lambda: stream,
            "CUDAGraph": lambda: captured,
            "graph": self.capture,
            "stream": lambda stream: nullcontext(),
            "graph_pool_handle": lambda: (0, 1),
            "current_device": lambda: 0,
            "default_generators": [self.default],
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.cuda, name, fake)
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", lambda *_: None, raising=False)
        graph.side_stream.cache_clear()

    def replay(self):
        self.replays += 1

    @contextmanager
    def capture(self, *_, **__):
        yield
        if self.error:
            raise self.error


@pytest.fixture(autouse=True)
def _forget_the_stream():
    yield
    graph.side_stream.cache_clear()


def test_warm_up_calls_then_one_capture_then_replays(monkeypatch):
    fake, calls = FakeCuda(monkeypatch), []
    runner = graph.StepGraph(lambda: calls.append(1), ["a generator"])
    for _ in range(10):
        runner()
    assert (len(calls), fake.replays) == (graph.WARMUP_CALLS + 1, 7)
    assert fake.generators == ["a generator"]


def test_a_failed_capture_is_logged_and_the_work_continues_eagerly(monkeypatch, caplog):
    """Generators, which still refer to the capture, get a new state."""
    caplog.set_level("INFO")
    fake, calls = FakeCuda(monkeypatch, RuntimeError("not permitted\nstack")), []
    generator = Generator()
    runner = graph.StepGraph(lambda: calls.append(1), [generator])
    for _ in range(10):
        runner()
    assert (len(calls), fake.replays) == (11, 0), "the capture's call ran nothing"
    assert generator.states == fake.default.states == [5]
    assert caplog.messages == [
        "steps are launched kernel by kernel, since a CUDA graph fails: not permitted"
    ]


def test_graph_is_auto_or_none():
    assert plain("ddpm", graph="none").options.graph == "none"
    with pytest.raises(LtdmError, match=r"train.graph: 'always'"):
        plain("ddpm", graph="always")
