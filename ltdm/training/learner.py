"""One training step: what it needs and does; nothing in it waits for the device.

The learner works with any network, process and objective. Each step re-seeds every generator from
(seed, step), so an interrupted run ends with the same bytes as an uninterrupted one (on the CPU; a
GPU adds in no fixed order).
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ltdm.core.seeding import derive_seed, owner_seeds
from ltdm.diffusion._base import Process
from ltdm.methods._base import Batch, Draws, draw_levels
from ltdm.methods._generators import Generators
from ltdm.methods._objective import Objective
from ltdm.networks._magnitude import normalise_weights
from ltdm.networks._per_class import PerClassNetworks
from ltdm.networks._predictor import Predictor, RankShare, to_device
from ltdm.training.batches import Batches
from ltdm.training.ema import EMA, PowerEMA
from ltdm.training.graph import StepGraph
from ltdm.training.optimiser import Optimiser
from ltdm.training.options import TrainOptions
from ltdm.training.schedule import learning_rate

log = logging.getLogger("ltdm")


class Learner:
    """A network with everything that trains it; its state can be saved and resumed between steps.

    Attributes:
        step_count: Training steps made so far.
        last_step: The step count at which the training ends.
        loss_sums: Sums of the losses and the gradient's norm since the last row of the history, and
            those by group of classes.
        inputs: The host's draws for a step, on the device: the arguments of `Batches.make`.
        run_device_step: Does the device's part of a step, eagerly or as a captured graph.
        device_step_calls: How often the host launched that part kernel by kernel, or captured it.
        history: Rows of means, one every `log_every` steps.
    """

    STATE_PARTS = ("net", "ema", "optimiser", "method", "process")  # attributes, and keys of states

    def __init__(
        self,
        net: nn.Module,
        method: Objective,
        process: Process,
        batches: Batches,
        options: TrainOptions,
        seed: int,
    ):
        device = batches.device
        self.options, self.device = options, device
        self.batches, self.method, self.process = batches, method.to(device), process.to(device)
        self.net = to_device(net, device, options.precision).train()
        self.rank_share = RankShare.current()
        self.predict = Predictor(
            self.net, device, options.precision, options.compile, self.rank_share
        )
        self._init_averages()
        extra_params = [*self.method.parameters(), *self.process.parameters()]
        self.optimiser = Optimiser(self.net, extra_params, options, device)
        self.owners = owner_seeds(seed, len(batches.samplers))
        self.generators = Generators.create(device, len(self.owners))
        self.last_step = options.steps
        self.step_count = self.device_step_calls = 0
        self.loss_sums: dict[str, Tensor] = {}
        self.inputs: list[Tensor] = []
        self.history: list[dict[str, float]] = []
        self.release_graph()

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on, and the history."""
        return {
            "step": self.step_count,
            **{name: getattr(self, name).state_dict() for name in self.STATE_PARTS},
            "powers": [average.state_dict() for average in self.power_emas],
            "sums": self.loss_sums,
            "history": self.history,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        for name in self.STATE_PARTS:
            getattr(self, name).load_state_dict(state[name])
        for average, weights in zip(self.power_emas, state["powers"], strict=True):
            average.load_state_dict(weights)
        self.step_count, self.history = state["step"], list(state["history"])
        self.loss_sums = {name: total.clone() for name, total in state["sums"].items()}
        self.release_graph()  # a graph refers to the tensors from before

    def init_from(self, weights: dict[str, Tensor]) -> None:
        """Start from another run's weights, also for the averages; the optimiser starts afresh."""
        self.net.load_state_dict(weights)
        normalise_weights(self.net)
        self._init_averages()

    def load_weights(self, net: dict[str, Tensor], ema: dict[str, Tensor]) -> None:
        """Continue from other weights and averages; the optimiser keeps its state."""
        self.net.load_state_dict(net)
        normalise_weights(self.net)
        self.ema.load_state_dict(ema)

    def snapshots(self) -> dict[str, Tensor]:
        """Return the averages of `train.posthoc_ema`, in float16 on the host."""
        return {
            name: tensor
            for average in self.power_emas
            for name, tensor in average.snapshot().items()
        }

    def snapshot_steps(self) -> list[int]:
        """Return the step counts at which `train.posthoc_ema` takes snapshots."""
        posthoc = self.options.posthoc_ema
        return posthoc.snapshot_steps(self.last_step) if posthoc else []

    def _init_averages(self) -> None:
        """Start all averages at the current weights."""
        posthoc = self.options.posthoc_ema
        widths = posthoc.sigma_rel if posthoc else ()
        self.ema = EMA(self.net, self.options.ema_decay)
        self.power_emas = [PowerEMA(self.net, width) for width in widths]

    def switch_shard(self, rows: np.ndarray, seed: int, last_step: int) -> None:
        """Train on these rows of the data alone, with another seed, up to `last_step`."""
        self.batches.restrict(rows, seed)
        self.owners, self.last_step = owner_seeds(seed, len(self.batches.samplers)), last_step

    def step(self, draws: Sequence[Draws] | None = None) -> None:
        """Make one training step; nothing in it waits for the device.

        `draws`, one per optimiser step, may come from another code, to compare the two.

        The host draws what differs from the step before and copies it into tensors that keep their
        addresses. The device's work is then the same in every step, so it can be a captured graph.
        """
        self._fill_inputs()
        if draws is None:
            self.run_device_step()
        else:
            self._device_step(draws)
        self.step_count += 1

    def release_graph(self) -> None:
        """Free the captured graph and its memory, if there is one; the next step starts afresh."""
        self.run_device_step: Callable[[], None] = self._device_step
        if self.options.graph == "none" or self.device.type != "cuda":
            return
        if self.rank_share.world > 1:
            log.info("steps are launched kernel by kernel: several processes train together")
        else:
            self.run_device_step = StepGraph(self._device_step, self.generators.on_device)

    def calls_per_image(self) -> dict[str, float]:
        """Return the network evaluations per image; a captured step counts once, at its capture."""
        return self.predict.calls_per_image(self.batches.size * max(self.device_step_calls, 1))

    def reset_counts(self) -> None:
        """Restart the count of network evaluations at zero."""
        self.predict.reset_counts()
        self.device_step_calls = 0

    def _fill_inputs(self) -> None:
        """Seed every generator, and copy a step's draws, learning rate and decays into place."""
        rank = self.rank_share.rank
        own_rank = (rank,) if rank else ()  # each process has dropout masks of its own
        dropout = [
            derive_seed("dropout", owner, *own_rank, self.step_count) for owner in self.owners
        ]
        torch.manual_seed(dropout[0])
        if isinstance(self.net, PerClassNetworks):
            self.net.seeds = dropout
        self.optimiser.lr.fill_(learning_rate(self.options, self.step_count, self.batches.size))
        for average in self.power_emas:
            average.set_decay(self.step_count + 1)
        self.generators.seed(
            [derive_seed("noise", owner, self.step_count) for owner in self.owners]
        )
        level = draw_levels(self.process, self.batches.size, self.generators)
        draws = [level, *self.batches.draw(self.step_count)]
        if self.device.type == "cuda":
            draws = [tensor.pin_memory() for tensor in draws]  # else the host waits for the copies
        if not self.inputs:
            self.inputs = [torch.empty_like(tensor, device=self.device) for tensor in draws]
        for target, tensor in zip(self.inputs, draws, strict=True):
            target.copy_(tensor, non_blocking=True)

    def _device_step(self, draws: Sequence[Draws] | None = None) -> None:
        """Do the device's part of a training step: optimiser steps, loss sums and averages."""
        if draws is None:
            substeps = self._substeps(self.batches.make(*self.inputs))
            draws = [self.method.draw(batch, self.process, rng) for batch, rng in substeps]
        for each in draws:
            for name, value in self._optimiser_step(each).items():
                if name not in self.loss_sums:
                    self.loss_sums[name] = torch.zeros_like(value)
                self.loss_sums[name] += value.detach() / len(draws)
        for average in (self.ema, *self.power_emas) if self.rank_share.is_main else ():
            average.update()
        self.device_step_calls += 1

    def _substeps(self, batch: Batch) -> list[tuple[Batch, Generators]]:
        """Return the batch of each optimiser step of a training step: all of it, or each block."""
        if not self.method.step_per_class:
            return [(batch, self.generators)]
        size = self.batches.size // len(self.owners)
        blocks = [slice(k * size, (k + 1) * size) for k in range(len(self.owners))]
        return [(batch.take(rows), self.generators.for_owner(k)) for k, rows in enumerate(blocks)]

    def _optimiser_step(self, draws: Draws) -> dict[str, Tensor]:
        """Make one optimiser step; return the loss, its terms and the gradient's norm, scalars.

        The sums by group of classes that the objective logs follow them.

        Separate networks each have a loss and a norm; the means over networks are returned.
        """
        networks = self.optimiser.num_networks
        self.optimiser.zero_grad()  # before the pass: memory would not hold old and new gradients
        losses = self.method.loss(self.predict, self.process, draws)
        terms = {name: term.view(networks, -1).mean(1) for name, term in losses.items()}
        loss = torch.stack(list(terms.values())).sum(0)
        loss.sum().backward()
        values = {"loss": loss, **terms, "grad_norm": self.optimiser.step(draws.noisy.has_label)}
        values |= self.method.group_sums(losses, draws.noisy.classes)
        normalise_weights(self.net, self.process)
        return {name: value.mean() for name, value in values.items()}
