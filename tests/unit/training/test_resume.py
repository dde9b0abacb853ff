"""Resuming on another device, where weights and moments may have another memory layout."""

import copy

import pytest
import torch

from tests.helpers.training import METHODS, learner_of, run, same

LAST = torch.channels_last


@pytest.fixture(autouse=True)
def _save_always(monkeypatch):
    """Save the state at every row of the history."""
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")


def with_layout(learner, layout):
    """Return a new trainer of a learner's network in another memory layout, as on a GPU."""
    learner.net.to(memory_format=layout)
    return type(learner)(
        learner.net, learner.method, learner.process, learner.batches, learner.options, 0
    )


def strides(learner):
    """Return pairs of strides, of a weight and its moment, of all convolutions."""
    optimiser = learner.optimiser
    return [
        (p.stride(), moment.stride())
        for p, moments in zip(optimiser.params, optimiser.moments, strict=True)
        for moment in moments.values()
        if p.ndim == 4
    ]


@pytest.mark.parametrize("name", [n for n in METHODS if not n.endswith("separate")])
@pytest.mark.parametrize(
    "layouts", [(LAST, torch.contiguous_format), (torch.contiguous_format, LAST), (LAST, LAST)]
)
def test_a_state_of_any_layout_resumes(name, layouts):
    """The resumed moments have the saved values, although a CPU walks them as flat memory."""
    first, second = (with_layout(learner_of(name), layout) for layout in layouts)
    states = []
    first.fit(lambda content: states.append(copy.deepcopy(content)))
    second.resume(copy.deepcopy(states[1]))
    assert second.step_count == 6
    pairs = strides(second)
    assert pairs and all(weight == moment for weight, moment in pairs)
    saved, resumed = states[1]["optimiser"], second.optimiser.state_dict()
    for entry, other in zip(saved, resumed, strict=True):
        assert all(torch.equal(entry[k], other[k]) for k in entry)
    run(second)
    for one, other in zip(first.net.parameters(), second.net.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-5)  # a fiftieth of a step of 1e-3


def test_moments_in_another_layout_give_the_same_bits():
    """As a GPU writes them, with strides that torch.save keeps."""
    uninterrupted = learner_of("cbdm")
    states = []
    uninterrupted.fit(lambda content: states.append(copy.deepcopy(content)))
    for entry in states[1]["optimiser"]:
        for name in ("exp_avg", "exp_avg_sq"):
            if entry[name].ndim == 4:
                entry[name] = entry[name].to(memory_format=LAST)
    resumed = learner_of("cbdm")
    resumed.resume(states[1])
    run(resumed)
    assert same(uninterrupted, resumed)
    assert uninterrupted.history == resumed.history


def test_a_state_holds_only_moments_and_steps_of_the_optimiser():
    """The learning rate's tensor and the choice of kernels belong to the device."""
    learner = learner_of("ddpm")
    learner.step()
    assert {frozenset(entry) for entry in learner.state()["optimiser"]} == {
        frozenset({"step", "exp_avg", "exp_avg_sq"})
    }
