"""Tasks of the processes of test_distributed.py, and of one process for comparison."""

import copy
import os
import signal
from pathlib import Path

import torch

from ltdm.networks._per_class import build_network
from ltdm.networks._predictor import RankShare
from ltdm.plumbing.errors import LtdmError
from ltdm.training import setup
from ltdm.training.setup import Recipe, make_trainer
from ltdm.training.worker import run_worker
from tests.helpers.training import CPU, METHODS, data, spec_of

STEPS, HALF = 20, 10


def trainer_of(name):
    """Return the trainer of one of METHODS, without dropout: its masks differ between processes."""
    spec = spec_of(name, steps=STEPS, log_every=HALF, augment="ada")
    spec["network"] = {**spec["network"], "dropout": 0.0}
    return make_trainer(Recipe.from_spec(spec), 0, *data(), CPU)


def build_exact(*args):
    """Build a network in float64.

    In float32, Adam turns rounding noise into steps as large as the learning rate, where gradients
    are zero in theory: those of the biases of attention's keys.
    """

    def to_float64(net, inputs):
        return tuple(t.double() if t is not None and t.is_floating_point() else t for t in inputs)

    net = build_network(*args).double()
    net.register_forward_pre_hook(to_float64)
    return net


def train_method(name, state=None):
    """Train, from a state or the start; return the saved states and the last, and evaluations."""
    learner, states = trainer_of(name), []
    if state:
        learner.resume(copy.deepcopy(state))  # the optimiser changes these tensors in place
    learner.fit(lambda state: states.append(copy.deepcopy(state)))
    return {"states": [*states, learner.state()], "evaluations": learner.predict.calls_per_image(1)}


def train_all(stop, folder):
    """Train every method; also resume from a state of one process, and of two."""
    setup.build_network, share = build_exact, RankShare.current()
    for name in METHODS:
        results = {"whole": train_method(name)}
        if name in ("composed", "separate"):
            states = {"one": torch.load(Path(folder) / f"one-{name}.pt")["states"][0]}
            states["two"] = results["whole"]["states"][0]
            results |= {processes: train_method(name, state) for processes, state in states.items()}
        if share.is_main:
            torch.save(results, Path(folder) / f"two-{name}.pt")
    learner = trainer_of("ddpm")
    learner.step()
    Path(folder, f"seed-{share.rank}").write_text(str(torch.initial_seed()))


def fail(stop, rank, how):
    """Train until one of the processes fails: "killed", by a "mistake" of the user, or by a bug."""
    learner = trainer_of("ddpm")
    step = learner.step

    def failing_step():
        if learner.step_count == 3 and learner.rank_share.rank == rank:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise LtdmError("the disk is full") if how == "mistake" else ValueError("a bug")
        step()

    learner.step = failing_step
    learner.fit(lambda state: None)


def do(stop, task, **arguments):
    """Run a task by name."""
    {"train_all": train_all, "fail": fail}[task](stop, **arguments)


if __name__ == "__main__":
    run_worker(do)
