"""A training update as one CUDA graph: hundreds of kernels that the host launches at once."""

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch

log = logging.getLogger("ltdm")
WARM = 3
"""Updates before the capture, in which kernels are chosen, compiled, and memory is laid out."""


@cache
def memory() -> Any:
    """Return the memory that all graphs of this process share.

    One may overwrite what another computed, since nothing that is read later lies there.
    """
    return torch.cuda.graph_pool_handle()


class UpdateGraph:
    """Runs the same work again and again: a few times as it is, then as one captured graph.

    Each call is one update, the first ones and the captured one included. Where the work cannot be
    captured it goes on as it is.

    Args:
        work: What to run. It may wait for nothing, every tensor that it reads from outside must
            stay where it is, and every shape what it is.
        generators: What it draws from, PyTorch's own generator apart. They may be seeded anew
            between two calls.
    """

    def __init__(self, work: Callable[[], None], generators: Sequence[torch.Generator]):
        self.work, self.generators = work, generators
        self.stream = torch.cuda.Stream()
        self.graph: torch.cuda.CUDAGraph | None = None
        self.calls, self.fails = 0, False

    def __call__(self) -> None:
        """Run it once."""
        if self.graph is None and self.calls == WARM and not self.fails:
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
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:
            graph.register_generator_state(generator)
        try:
            with torch.cuda.graph(graph, pool=memory(), stream=self.stream):
                self.work()
        except RuntimeError as error:
            self.fails = True
            reason = str(error).strip().splitlines()[0]
            log.info("updates are launched kernel by kernel, since a CUDA graph fails: %s", reason)
        else:
            self.graph = graph
