"""Random generators of a training step: one per owner, on the host and on the device.

An owner is a block of the batch with draws of its own: all of the batch, or each class's images.
"""

from typing import NamedTuple

import torch


class Generators(NamedTuple):
    """Generators of each owner; on the CPU those of host and device are the same objects."""

    on_host: list[torch.Generator]
    on_device: list[torch.Generator]

    @classmethod
    def create(cls, device: torch.device, number: int) -> "Generators":
        """Create the generators of `number` owners, on the CPU and on a device."""
        on_host = [torch.Generator() for _ in range(number)]
        if device.type == "cpu":
            return cls(on_host, on_host)
        return cls(on_host, [torch.Generator(device) for _ in on_host])

    def seed(self, seeds: list[int]) -> "Generators":
        """Seed the generators with one seed per owner; return them."""
        for seed, host, device in zip(seeds, self.on_host, self.on_device, strict=True):
            host.manual_seed(seed)
            device.manual_seed(seed)
        return self

    def for_owner(self, owner: int) -> "Generators":
        """Return the generators of one owner."""
        return Generators([self.on_host[owner]], [self.on_device[owner]])

    @property
    def shared(self) -> torch.Generator:
        """The first owner's generator on the device, for draws that concern the full batch."""
        return self.on_device[0]
