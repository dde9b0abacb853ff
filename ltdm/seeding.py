"""Every random draw has an owner: its seed is made from the owner's name, not from a stream."""

import hashlib

import torch


def derive(purpose: str, *owner: int) -> int:
    """Return a 63-bit seed for `purpose` and its owner, such as `("noise", seed, update)`.

    The owner's last number is added, not hashed: torch's CPU generator takes the low 32 bits alone,
    and so the images of a set, or the updates of a run, never share one.
    """
    *names, last = owner or (0,)
    text = "/".join([purpose, *map(str, names)])
    base = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
    return (base + last) % 2**63


def owners(seed: int, number: int) -> list[int]:
    """Return the seeds of a run's owners of draws: its own, then one for each further class."""
    return [seed, *(derive("class", seed, k) for k in range(1, number))]


class Streams:
    """The generators of each owner, on the host and on the device; on the CPU they are the same.

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
