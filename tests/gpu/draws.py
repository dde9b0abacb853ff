"""Equal random numbers on a CPU and on a GPU."""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class HostDraws(TorchFunctionMode):
    """Replaces draws of all generators within a block by draws on the host.

    Each generator has a substitute on the host, with the seed that it was last set to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.substitutes: dict[tuple[int, int], torch.Generator] = {}

    def __torch_function__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Draw on the host if there is a generator, else call the function."""
        kwargs = dict(kwargs or {})
        generator = kwargs.get("generator")
        if generator is None:
            return function(*args, **kwargs)
        kwargs["generator"] = self._substitute(generator)
        if function is Tensor.exponential_:
            target = args[0]
            draw = torch.empty(target.shape, dtype=target.dtype)
            return target.copy_(function(draw, *args[1:], **kwargs))
        return function(*args, **{**kwargs, "device": "cpu"}).to(kwargs.get("device", "cpu"))

    def _substitute(self, generator: torch.Generator) -> torch.Generator:
        key = id(generator), generator.initial_seed()
        if key not in self.substitutes:
            self.substitutes[key] = torch.Generator().manual_seed(key[1])
        return self.substitutes[key]
