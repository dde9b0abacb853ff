"""A training step as one CUDA graph: the host launches its hundreds of kernels at once."""

import gc
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache

import torch

log = logging.getLogger("ltdm")
WARMUP_CALLS = 3
"""Calls before the capture, in which kernels are chosen and compiled and memory is allocated."""


@cache
def side_stream() -> torch.cuda.Stream:
    """Return this process's only stream for captures and for the calls before them."""
    return torch.cuda.Stream()


class StepGraph:
    """Runs the same work repeatedly: `WARMUP_CALLS` times eagerly, then as one captured graph.

    Each call is one training step, including the warm-up calls and the captured one. Where the
    capture fails, the work continues eagerly. The work must not wait for the device; every tensor
    that it reads from outside must keep its address, and every tensor its shape. `generators` are
    those that it draws from besides PyTorch's own; they may be re-seeded between two calls.
    """

    def __init__(self, work: Callable[[], None], generators: Sequence[torch.Generator]):
        self.work, self.generators, self.stream = work, generators, side_stream()
        self.graph: torch.cuda.CUDAGraph | None = None
        self.failed_graph: torch.cuda.CUDAGraph | None = None
        self.calls = 0

    def __call__(self) -> None:
        """Run the work once."""
        if self.calls == WARMUP_CALLS:
            self._capture()
        if self.graph is None:
            self._run_eagerly()
        else:
            self.graph.replay()
        self.calls += 1

    def _run_eagerly(self) -> None:
        """Run the work kernel by kernel, on the stream of the capture, as a capture requires."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.work()
        torch.cuda.current_stream().wait_stream(self.stream)

    def _capture(self) -> None:
        """Record the work without running it."""
        gc.collect()  # a graph freed during the capture would end it
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        for generator in self.generators:
            graph.register_generator_state(generator)
        try:
            with torch.cuda.graph(graph, pool=pool, stream=self.stream):
                self.work()
        except RuntimeError as error:
            self.failed_graph = graph  # PyTorch 2.11 may still refer to it
            self._recover(pool)
            reason = str(error.__context__ or error).strip().splitlines()[0]
            log.info("steps are launched kernel by kernel, since a CUDA graph fails: %s", reason)
        else:
            self.graph = graph

    def _recover(self, pool: tuple[int, int]) -> None:
        """End the state that a failed capture leaves in PyTorch 2.11: generators, memory pool."""
        index = torch.cuda.current_device()
        for generator in (torch.cuda.default_generators[index], *self.generators):
            fresh = torch.Generator(generator.device).manual_seed(generator.initial_seed())
            generator.graphsafe_set_state(fresh)
        with suppress(RuntimeError, AttributeError):  # later releases end it themselves
            torch._C._cuda_endAllocateToPool(index, pool)
