"""How often the state of a training is saved."""

import pytest
import torch

from ltdm.plumbing.errors import LtdmError
from ltdm.training import loop
from tests.helpers.training import run, same, trainer


def test_a_save_interval_that_is_no_number_is_refused(monkeypatch):
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "often")
    with pytest.raises(LtdmError, match=r"LTDM_SAVE_SECONDS .* number"):
        trainer().fit(lambda state: None)


def test_large_states_are_saved_less_often(monkeypatch):
    """On a clock that advances by 10 seconds per step and by 4 per save."""
    learner, now, saves = trainer(steps=40, log_every=1), [0.0], []
    plain = learner.step
    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])

    def step():
        plain()
        now[0] += 10

    def save(state):
        saves.append(state["step"])
        now[0] += 4

    learner.step = step
    for seconds, expected in (("", [6, 18, 30]), ("20", [42, 44, 46, 48])):
        monkeypatch.setenv("LTDM_SAVE_SECONDS", seconds)
        learner.fit(save)
        assert saves == expected
        learner.last_step, saves[:] = 50, []


def test_how_often_the_state_is_saved_changes_no_bit(monkeypatch):
    """Neither of an uninterrupted training, nor of one that resumes."""
    often, seldom, resumed = trainer(), trainer(), trainer()
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")
    states = run(often)
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "600")
    assert (len(states), len(run(seldom))) == (3, 0)
    states[1].seek(0)
    resumed.resume(torch.load(states[1], weights_only=True))
    run(resumed)
    assert same(often, seldom) and same(resumed, seldom)
