"""An update as one graph: on the CPU, recorded on a tape and run again, it is the same update."""

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch

from ltdm.plumbing.errors import LtdmError
from ltdm.training import graph
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.tape import Tape
from tests.unit.training.test_training import CPU, METHODS, data, run, same, spec_of


@pytest.fixture(autouse=True)
def _save_always(monkeypatch):
    """Save the state at every row of the history."""
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")


TRAIN = {"class_sampling": "balanced", "augment": "ada", "steps": 12}


class Taped:
    """Does what `StepGraph` does, with a tape in place of the graph."""

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
    """Separate networks on a CPU seed their masks one after the other, which no tape can hold."""
    spec = spec_of(name, **{**TRAIN, **train})
    if name.endswith("separate"):
        spec["network"] = {**spec["network"], "dropout": 0.0}
    return make_trainer(Recipe.from_spec(spec), 0, *data(), CPU)


def taped(name, **train):
    learner = plain(name, **train)
    learner.run_device_step = Taped(learner._device_step)
    return learner


@pytest.mark.parametrize("name", METHODS)
def test_a_recorded_update_is_every_update_to_the_bit(name):
    """Batches, levels, noise, dropout, rates, Adam, averages and losses: all follow the update."""
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
    for mine, its in zip(one.power_emas, other.power_emas, strict=True):
        assert all(torch.equal(v, its.average[k]) for k, v in mine.average.items())
    assert one.calls_per_image() == other.calls_per_image()


def test_a_run_that_is_resumed_within_a_graph_ends_the_same():
    whole = taped("cbdm")
    saved = run(whole)
    resumed = taped("cbdm")
    for _ in range(5):  # whatever a graph knew before
        resumed.step()
    saved[1].seek(0)
    resumed.resume(torch.load(saved[1], weights_only=True))
    resumed.run_device_step = Taped(resumed._device_step)
    run(resumed)
    assert same(whole, resumed)
    assert whole.history == resumed.history


def test_a_tape_keeps_what_an_update_took_from_the_host():
    """The test above would see it: a rate that is a number stays what it was."""
    one, other = taped("ddpm"), plain("ddpm")
    one.optimiser.adam.param_groups[0]["lr"] = 1e-3
    run(one)
    run(other)
    assert not same(one, other)


class Generator:
    """What a graph asks of a GPU's generator."""

    device = "cpu"

    def __init__(self):
        self.states = []

    def initial_seed(self):
        return 5

    def graphsafe_set_state(self, state):
        self.states.append(state.initial_seed())


class FakeCuda:
    """What `StepGraph` asks of torch.cuda, on the CPU; a capture may end in an error."""

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
def _no_stream_is_kept():
    yield
    graph.side_stream.cache_clear()


def test_warm_updates_then_one_capture_then_replays(monkeypatch):
    fake, done = FakeCuda(monkeypatch), []
    runner = graph.StepGraph(lambda: done.append(1), ["a generator"])
    for _ in range(10):
        runner()
    assert (len(done), fake.replays, fake.generators) == (
        graph.WARMUP_CALLS + 1,
        7,
        ["a generator"],
    )


def test_what_cannot_be_captured_goes_on_with_one_line(monkeypatch, caplog):
    """Generators, which still take the capture for going on, are given a state of their own."""
    caplog.set_level("INFO")
    fake, done = FakeCuda(monkeypatch, RuntimeError("not permitted\nstack")), []
    mine = Generator()
    runner = graph.StepGraph(lambda: done.append(1), [mine])
    for _ in range(10):
        runner()
    assert (len(done), fake.replays) == (11, 0), "one of them was the capture's, and ran nothing"
    assert mine.states == fake.default.states == [5]
    assert caplog.messages == [
        "steps are launched kernel by kernel, since a CUDA graph fails: not permitted"
    ]


def test_graph_is_auto_or_none():
    assert plain("ddpm", graph="none").options.graph == "none"
    with pytest.raises(LtdmError, match=r"train.graph: 'always' is not known; known: auto, none"):
        plain("ddpm", graph="always")
