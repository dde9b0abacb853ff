"""The work of the processes in test_distributed.py, and the same work by one process."""

import copy
import os
import signal
from pathlib import Path

import torch

from ltdm.networks._players import build_network
from ltdm.networks._predictor import Share
from ltdm.plumbing.errors import LtdmError
from ltdm.training import setup
from ltdm.training.setup import Recipe, make_trainer
from ltdm.training.worker import run_worker
from tests.unit.training.test_training import CPU, METHODS, data, spec_of

STEPS, HALF = 50, 25


def trainer_of(name):
    """Return the trainer of one of METHODS; without dropout, since its masks differ by process."""
    spec = spec_of(name, steps=STEPS, log_every=HALF, augment="ada")
    spec["network"] = {**spec["network"], "dropout": 0.0}
    return make_trainer(Recipe.from_spec(spec), 0, *data(), CPU)


def build_exact(*args):
    """Build a network in float64.

    In float32, the gradients of the biases of attention's keys, zero in theory, are rounding noise,
    of which Adam makes steps as large as its learning rate.
    """

    def precise(net, inputs):
        return tuple(t.double() if t is not None and t.is_floating_point() else t for t in inputs)

    net = build_network(*args).double()
    net.register_forward_pre_hook(precise)
    return net


def train(name, state=None):
    """Train, from a state or afresh; return all saved states and the network evaluations."""
    learner, states = trainer_of(name), []
    if state:
        learner.resume(copy.deepcopy(state))  # the training changes these tensors
    learner.fit(lambda state: states.append(copy.deepcopy(state)))
    return {"states": [*states, learner.state()], "evaluations": learner.predict.counted(1)}


def train_all(stop, folder):
    """Train every method; for some, also resume from states of one process and of two."""
    setup.build_network, share = build_exact, Share.here()
    for name in METHODS:
        results = {"whole": train(name)}
        if name in ("composed", "separate"):
            states = {"one": torch.load(Path(folder) / f"one-{name}.pt")["states"][0]}
            states["two"] = results["whole"]["states"][0]
            results |= {processes: train(name, state) for processes, state in states.items()}
        if share.leads:
            torch.save(results, Path(folder) / f"two-{name}.pt")
    learner = trainer_of("ddpm")
    learner.step()
    Path(folder, f"seed-{share.rank}").write_text(str(torch.initial_seed()))


def fail(stop, rank, how):
    """Train until the process of this rank is killed, or raises an error or a bug."""
    learner = trainer_of("ddpm")
    step = learner.step

    def step_or_end():
        if learner.step_count == 3 and learner.rank_share.rank == rank:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise LtdmError("the disk is full") if how == "mistake" else ValueError("a bug")
        step()

    learner.step = step_or_end
    learner.fit(lambda state: None)


def do(stop, task, **arguments):
    {"train_all": train_all, "fail": fail}[task](stop, **arguments)


if __name__ == "__main__":
    run_worker(do)
