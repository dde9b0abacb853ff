"""The same random numbers on a CPU and on a GPU."""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class HostDraws(TorchFunctionMode):
    """Draws on the host what is asked of a generator, wherever that is, within a block.

    Each generator has a stand-in on the host with the seed that it was last given.
    """

    def __init__(self) -> None:
        super().__init__()
        self.twins: dict[tuple[int, int], torch.Generator] = {}

    def __torch_function__(
        self, function: Any, kinds: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Draw, or do what was asked."""
        kwargs = dict(kwargs or {})
        generator = kwargs.get("generator")
        if generator is None:
            return function(*args, **kwargs)
        kwargs["generator"] = self._twin(generator)
        if function is Tensor.exponential_:
            there = args[0]
            drawn = torch.empty(there.shape, dtype=there.dtype)
            return there.copy_(function(drawn, *args[1:], **kwargs))
        return function(*args, **{**kwargs, "device": "cpu"}).to(kwargs.get("device", "cpu"))

    def _twin(self, generator: torch.Generator) -> torch.Generator:
        key = id(generator), generator.initial_seed()
        if key not in self.twins:
            self.twins[key] = torch.Generator().manual_seed(key[1])
        return self.twins[key]
