"""What the processes of test_distributed.py do; one process does the same to compare."""

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

UPDATES, HALF = 50, 25


def trainer_of(name):
    """Return the trainer of one of METHODS, without dropout, whose masks differ by process."""
    spec = spec_of(name, steps=UPDATES, log_every=HALF, augment="ada")
    spec["network"] = {**spec["network"], "dropout": 0.0}
    return make_trainer(Recipe.from_spec(spec), 0, *data(), CPU)


def build_exact(*args):
    """Build a network in float64.

    In float32, Adam makes steps as large as its rate of the rounding noise of gradients that are
    zero in theory: those of the biases of attention's keys.
    """

    def precise(net, inputs):
        return tuple(t.double() if t is not None and t.is_floating_point() else t for t in inputs)

    net = build_network(*args).double()
    net.register_forward_pre_hook(precise)
    return net


def trained(name, begun=None):
    """Train, from a state or afresh; return the states on the way, and the evaluations."""
    learner, states = trainer_of(name), []
    if begun:
        learner.resume(copy.deepcopy(begun))  # the optimiser goes on in these very tensors
    learner.fit(lambda state: states.append(copy.deepcopy(state)))
    return {"states": [*states, learner.state()], "evaluations": learner.predict.counted(1)}


def train_all(stop, folder):
    """Train every method, and go on from states of one process, or of two."""
    setup.build_network, share = build_exact, Share.here()
    for name in METHODS:
        made = {"whole": trained(name)}
        if name in ("composed", "separate"):
            begun = {"one": torch.load(Path(folder) / f"one-{name}.pt")["states"][0]}
            begun["two"] = made["whole"]["states"][0]
            made |= {number: trained(name, state) for number, state in begun.items()}
        if share.leads:
            torch.save(made, Path(folder) / f"two-{name}.pt")
    learner = trainer_of("ddpm")
    learner.step()
    Path(folder, f"seed-{share.rank}").write_text(str(torch.initial_seed()))


def fail(stop, rank, how):
    """Train until one of the processes ends in some way."""
    learner = trainer_of("ddpm")
    step = learner.step

    def ends():
        if learner.step_count == 3 and learner.rank_share.rank == rank:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise LtdmError("the disk is full") if how == "mistake" else ValueError("a bug")
        step()

    learner.step = ends
    learner.fit(lambda state: None)


def do(stop, task, **arguments):
    {"train_all": train_all, "fail": fail}[task](stop, **arguments)


if __name__ == "__main__":
    run_worker(do)
