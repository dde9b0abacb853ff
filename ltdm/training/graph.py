"""A training update as one CUDA graph: hundreds of kernels that the host launches at once."""

import gc
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache

import torch

log = logging.getLogger("ltdm")
WARMUP_CALLS = 3
"""Updates before the capture, in which kernels are chosen, compiled, and memory is laid out."""


@cache
def side_stream() -> torch.cuda.Stream:
    """Return the one stream of this process that captures, and that runs what comes before."""
    return torch.cuda.Stream()


class StepGraph:
    """Runs the same work again and again: a few times as it is, then as one captured graph.

    Each call is one update, the first ones and the captured one included. Where the work cannot be
    captured it goes on as it is. It may wait for nothing, every tensor that it reads from outside
    must stay where it is, and every shape what it is. `generators` are those that it draws from
    beside PyTorch's own; they may be seeded anew between two calls.
    """

    def __init__(self, work: Callable[[], None], generators: Sequence[torch.Generator]):
        self.work, self.generators, self.stream = work, generators, side_stream()
        self.graph: torch.cuda.CUDAGraph | None = None
        self.failed: torch.cuda.CUDAGraph | None = None
        self.calls = 0

    def __call__(self) -> None:
        """Run it once."""
        if self.calls == WARMUP_CALLS:
            self._capture()
        if self.graph is None:
            self._launch()
        else:
            self.graph.replay()
        self.calls += 1

    def _launch(self) -> None:
        """Run it kernel by kernel, on the stream of the capture, as that asks for."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.work()
        torch.cuda.current_stream().wait_stream(self.stream)

    def _capture(self) -> None:
        """Record it, without running anything."""
        gc.collect()  # a graph that is let go of during the capture would end it
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        for generator in self.generators:
            graph.register_generator_state(generator)
        try:
            with torch.cuda.graph(graph, pool=pool, stream=self.stream):
                self.work()
        except RuntimeError as error:
            self.failed = graph  # kept, since PyTorch 2.11 may still refer to it
            self._recover(pool)
            reason = str(error.__context__ or error).strip().splitlines()[0]
            log.info("updates are launched kernel by kernel, since a CUDA graph fails: %s", reason)
        else:
            self.graph = graph

    def _recover(self, pool: tuple[int, int]) -> None:
        """End what a failed capture leaves begun in PyTorch 2.11: generators and its memory."""
        index = torch.cuda.current_device()
        for generator in (torch.cuda.default_generators[index], *self.generators):
            fresh = torch.Generator(generator.device).manual_seed(generator.initial_seed())
            generator.graphsafe_set_state(fresh)
        with suppress(RuntimeError, AttributeError):  # later releases have ended it
            torch._C._cuda_endAllocateToPool(index, pool)
