"""The random generators of an update: one for each owner, on the host and on the device."""

from typing import NamedTuple

import torch


class Generators(NamedTuple):
    """Generators of each owner; on the CPU those of host and device are the same."""

    on_host: list[torch.Generator]
    on_device: list[torch.Generator]

    @classmethod
    def create(cls, device: torch.device, number: int) -> "Generators":
        """Make the streams of so many owners."""
        hosts = [torch.Generator() for _ in range(number)]
        if device.type == "cpu":
            return cls(hosts, hosts)
        return cls(hosts, [torch.Generator(device) for _ in hosts])

    def seed(self, seeds: list[int]) -> "Generators":
        """Start every owner's streams at its seed."""
        for seed, host, device in zip(seeds, self.on_host, self.on_device, strict=True):
            host.manual_seed(seed)
            device.manual_seed(seed)
        return self

    def for_owner(self, owner: int) -> "Generators":
        """Return one owner's streams."""
        return Generators([self.on_host[owner]], [self.on_device[owner]])

    @property
    def shared(self) -> torch.Generator:
        """The first owner's on the device: for what concerns all."""
        return self.on_device[0]
