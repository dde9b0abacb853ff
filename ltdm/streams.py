"""The random generators of an update: one for each owner, on the host and on the device."""

import torch


class Streams:
    """Generators of each owner, on the host and on the device; on the CPU they are the same.

    What the host must know the size of is drawn there, so that it never waits for the device.
    """

    def __init__(self, number: int, device: torch.device):
        self.hosts = [torch.Generator() for _ in range(number)]
        on_cpu = device.type == "cpu"
        self.devices = self.hosts if on_cpu else [torch.Generator(device) for _ in self.hosts]

    def seed(self, seeds: list[int]) -> "Streams":
        """Start every owner's streams at its seed."""
        for seed, host, device in zip(seeds, self.hosts, self.devices, strict=True):
            host.manual_seed(seed)
            device.manual_seed(seed)
        return self

    def only(self, owner: int) -> "Streams":
        """Return one owner's streams."""
        one = object.__new__(Streams)
        one.hosts, one.devices = [self.hosts[owner]], [self.devices[owner]]
        return one

    @property
    def host(self) -> torch.Generator:
        """The first owner's on the host: for what concerns all."""
        return self.hosts[0]

    @property
    def device(self) -> torch.Generator:
        """The first owner's on the device."""
        return self.devices[0]
