"""A training goes on on another device: weights and Adam's moments may lie otherwise there."""

import copy

import pytest
import torch

from tests.unit.training.test_training import METHODS, learner_of, run, same

LAST = torch.channels_last


@pytest.fixture(autouse=True)
def _save_always(monkeypatch):
    """Save the state at every row of the history."""
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")


def laid(learner, layout):
    """Lay a network out as a GPU would, before anything is made of it."""
    learner.net.to(memory_format=layout)
    return type(learner)(
        learner.net, learner.method, learner.process, learner.batches, learner.options, 0
    )


def strides(learner):
    """Pairs of strides, a weight's and its moment's, where there is a choice."""
    one = learner.optimiser
    return [
        (p.stride(), moment.stride())
        for p, moments in zip(one.params, one.moments, strict=True)
        for moment in moments.values()
        if p.ndim == 4
    ]


@pytest.mark.parametrize("name", [n for n in METHODS if not n.endswith("separate")])
@pytest.mark.parametrize(
    "ways", [(LAST, torch.contiguous_format), (torch.contiguous_format, LAST), (LAST, LAST)]
)
def test_a_state_of_any_layout_goes_on(name, ways):
    """The moments are those that were saved; before, a CPU walked them as flat memory."""
    first, second = (laid(learner_of(name), layout) for layout in ways)
    state = []
    first.fit(lambda content: state.append(copy.deepcopy(content)))
    second.resume(copy.deepcopy(state[1]))
    assert second.step_count == 6
    pairs = strides(second)
    assert pairs and all(weight == moment for weight, moment in pairs)
    for number, kept in enumerate(state[1]["optimiser"]):
        taken = second.optimiser.state_dict()[number]
        assert all(torch.equal(kept[k], taken[k]) for k in kept)
    run(second)
    for one, other in zip(first.net.parameters(), second.net.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-5)  # a fiftieth of a step of 1e-3


def test_moments_that_lie_otherwise_give_the_same_bits():
    """As a GPU writes them, in strides that torch.save keeps."""
    whole = learner_of("cbdm")
    states = []
    whole.fit(lambda content: states.append(copy.deepcopy(content)))
    for kept in states[1]["optimiser"]:
        for name in ("exp_avg", "exp_avg_sq"):
            if kept[name].ndim == 4:
                kept[name] = kept[name].to(memory_format=LAST)
    resumed = learner_of("cbdm")
    resumed.resume(states[1])
    run(resumed)
    assert same(whole, resumed)
    assert whole.history == resumed.history


def test_a_state_keeps_nothing_of_the_optimiser_but_moments_and_steps():
    """A rate that is a GPU's tensor, or a choice of kernels, belongs to where it trains."""
    learner = learner_of("ddpm")
    learner.step()
    assert {frozenset(one) for one in learner.state()["optimiser"]} == {
        frozenset({"step", "exp_avg", "exp_avg_sq"})
    }
