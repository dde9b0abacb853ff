"""The random generators of an update: one for each owner, on the host and on the device."""

from typing import NamedTuple

import torch


class Streams(NamedTuple):
    """Generators of each owner; on the CPU those of host and device are the same."""

    hosts: list[torch.Generator]
    devices: list[torch.Generator]

    @classmethod
    def on(cls, device: torch.device, number: int) -> "Streams":
        """Make the streams of so many owners."""
        hosts = [torch.Generator() for _ in range(number)]
        if device.type == "cpu":
            return cls(hosts, hosts)
        return cls(hosts, [torch.Generator(device) for _ in hosts])

    def seed(self, seeds: list[int]) -> "Streams":
        """Start every owner's streams at its seed."""
        for seed, host, device in zip(seeds, self.hosts, self.devices, strict=True):
            host.manual_seed(seed)
            device.manual_seed(seed)
        return self

    def only(self, owner: int) -> "Streams":
        """Return one owner's streams."""
        return Streams([self.hosts[owner]], [self.devices[owner]])

    @property
    def device(self) -> torch.Generator:
        """The first owner's on the device: for what concerns all."""
        return self.devices[0]
